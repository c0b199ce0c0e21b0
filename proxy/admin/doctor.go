package admin

import (
	"context"
	"net/http"
	"net/url"

	"github.com/weirproxy/weir/proxy/doctor"
)

// doctor says what is wrong with this machine, as this process sees it: it looks, and tries no connection. With facts=live it tells what it knows
// of itself, for `weir doctor`, which looks with its own rights.
func (s *Server) doctor(p *reply, r *http.Request, q url.Values) {
	if s.o.Doctor == nil {
		p.text(http.StatusNotFound, "this process does not tell\n")
		return
	}
	live := s.o.Doctor()
	live.State = s.o.State()
	if q.Get("facts") == "live" {
		p.value(live)
		return
	}
	report := doctor.Diagnose(doctor.Observe(r.Context(), doctor.Options{
		Version: live.Version, Ask: func(context.Context) (*doctor.Live, error) { return live, nil },
	}))
	if q.Get("format") == "json" {
		p.value(report)
		return
	}
	p.text(http.StatusOK, report.Text())
}
