package admin

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// listeners shows the running listeners and where they are bound.
func (s *Server) listeners(p *reply, _ *http.Request, q url.Values) {
	all := s.o.Proxy.Listeners()
	if q.Get("format") == "json" {
		m := &adminv3.Listeners{}
		for _, l := range all {
			st := &adminv3.ListenerStatus{Name: l.Name}
			for i, a := range l.Addresses {
				if i == 0 {
					st.LocalAddress = socketAddress(a)
				} else {
					st.AdditionalLocalAddresses = append(st.AdditionalLocalAddresses, socketAddress(a))
				}
			}
			m.ListenerStatuses = append(m.ListenerStatuses, st)
		}
		p.message(m, false)
		return
	}
	var b strings.Builder
	for _, l := range all {
		for _, a := range l.Addresses {
			fmt.Fprintf(&b, "%s::%s\n", l.Name, a)
		}
		if len(l.Addresses) == 0 {
			fmt.Fprintf(&b, "%s::\n", l.Name)
		}
	}
	p.text(http.StatusOK, b.String())
}

func socketAddress(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}
