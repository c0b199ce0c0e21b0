package admin

import (
	"net/http"
	"net/url"

	"go.uber.org/zap"
)

const ok = "OK\n"

// unable answers for a change that nobody here can make.
func unable(p *reply, what string) {
	p.text(http.StatusServiceUnavailable, what+": not available in this process\n")
}

func (s *Server) drain(p *reply, _ *http.Request, q url.Values) {
	if s.o.Drain == nil {
		unable(p, "drain_listeners")
		return
	}
	o := DrainOptions{Graceful: q.Has("graceful"), SkipExit: q.Has("skip_exit"), InboundOnly: q.Has("inboundonly")}
	s.o.Log.Info("listeners drain, asked for by admin", zap.Bool("graceful", o.Graceful),
		zap.Bool("skip_exit", o.SkipExit), zap.Bool("inboundonly", o.InboundOnly))
	s.o.Drain(o)
	p.text(http.StatusOK, ok)
}

func (s *Server) quit(p *reply, _ *http.Request, _ url.Values) {
	if s.o.Quit == nil {
		unable(p, "quitquitquit")
		return
	}
	s.o.Log.Info("end asked for by admin")
	p.text(http.StatusOK, ok)
	s.o.Quit()
}

func (s *Server) fail(p *reply, _ *http.Request, _ url.Values) { s.health(p, true) }

func (s *Server) recover(p *reply, _ *http.Request, _ url.Values) { s.health(p, false) }

// health makes health checks fail, or no longer; traffic is served all the same.
func (s *Server) health(p *reply, failing bool) {
	if s.failing.Swap(failing) != failing {
		s.o.Log.Info("health checks set by admin", zap.Bool("failing", failing))
		if s.o.FailHealthChecks != nil {
			s.o.FailHealthChecks(failing)
		}
	}
	p.text(http.StatusOK, ok)
}

func (s *Server) resetCounters(p *reply, _ *http.Request, _ url.Values) {
	s.o.Stats.ResetCounters()
	p.text(http.StatusOK, ok)
}

func (s *Server) reopenLogs(p *reply, _ *http.Request, _ url.Values) {
	if s.o.ReopenLogs == nil {
		unable(p, "reopen_logs")
		return
	}
	s.o.ReopenLogs()
	p.text(http.StatusOK, ok)
}
