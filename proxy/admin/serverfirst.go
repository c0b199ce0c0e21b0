package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/weirproxy/weir/proxy/listener/speakers"
)

func (s *Server) serverFirst(p *reply, _ *http.Request, _ url.Values) {
	p.value(struct {
		Servers []speakers.Entry `json:"servers"`
	}{s.o.Proxy.Speakers().List(time.Now())})
}

func (s *Server) serverFirstForget(p *reply, _ *http.Request, q url.Values) {
	if !q.Has("address") {
		p.text(http.StatusOK, fmt.Sprintf("forgot %d\n", s.o.Proxy.Speakers().ForgetAll()))
		return
	}
	a, err := netip.ParseAddrPort(q.Get("address"))
	switch {
	case err != nil:
		p.text(http.StatusBadRequest, fmt.Sprintf("address %q: not an IP address and a port\n", q.Get("address")))
	case s.o.Proxy.Speakers().Forget(a):
		p.text(http.StatusOK, "forgot 1\n")
	default:
		p.text(http.StatusNotFound, fmt.Sprintf("%s is not known to speak first\n", a))
	}
}
