package admin

import (
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/stats"
)

// ownStats are what is counted of this interface, under http.admin. and
// listener.admin., as of any other connection manager and listener. (Envoy: the
// same.)
type ownStats struct {
	http     *hcm.Stats
	listener *listener.Stats

	mu    sync.Mutex
	since map[net.Conn]time.Time
}

func newOwnStats(s *stats.Store) *ownStats {
	l := s.Scope("listener", "admin")
	return &ownStats{
		http: stats.Fill[hcm.Stats](s.Scope("http", "admin")), listener: stats.Fill[listener.Stats](l), since: map[net.Conn]time.Time{},
	}
}

// connection is told of connections' states by net/http.
func (o *ownStats) connection(c net.Conn, st http.ConnState) {
	switch st {
	case http.StateNew:
		o.mu.Lock()
		o.since[c] = time.Now()
		o.mu.Unlock()
		for _, n := range []*stats.Counter{o.http.CxTotal, o.http.CxHTTP1Total, o.listener.CxTotal} {
			n.Inc()
		}
		for _, n := range []*stats.Gauge{o.http.CxActive, o.http.CxHTTP1Active, o.listener.CxActive} {
			n.Inc()
		}
	case http.StateClosed, http.StateHijacked:
		o.mu.Lock()
		began := o.since[c]
		delete(o.since, c)
		o.mu.Unlock()
		lived := uint64(time.Since(began).Milliseconds())
		o.http.CxDestroy.Inc()
		o.listener.CxDestroy.Inc()
		o.http.CxLength.Record(lived)
		o.listener.CxLength.Record(lived)
		for _, n := range []*stats.Gauge{o.http.CxActive, o.http.CxHTTP1Active, o.listener.CxActive} {
			n.Dec()
		}
	}
}

// request counts a request; done is called at its end.
func (o *ownStats) request(w http.ResponseWriter) (_ http.ResponseWriter, done func()) {
	began := time.Now()
	o.http.RqTotal.Inc()
	o.http.RqHTTP1Total.Inc()
	o.http.RqActive.Inc()
	c := &counted{ResponseWriter: w, code: http.StatusOK}
	return c, func() {
		o.http.RqActive.Dec()
		o.http.RqCompleted.Inc()
		o.http.RqTime.Record(uint64(time.Since(began).Milliseconds()))
		if n := o.class(c.code / 100); n != nil {
			n.Inc()
		}
	}
}

func (o *ownStats) class(of int) *stats.Counter {
	switch of {
	case 1:
		return o.http.Rq1xx
	case 2:
		return o.http.Rq2xx
	case 3:
		return o.http.Rq3xx
	case 4:
		return o.http.Rq4xx
	case 5:
		return o.http.Rq5xx
	}
	return nil
}

// counted remembers the status.
type counted struct {
	http.ResponseWriter
	code int
}

// WriteHeader implements http.ResponseWriter.
func (c *counted) WriteHeader(code int) {
	c.code = code
	c.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (c *counted) Unwrap() http.ResponseWriter { return c.ResponseWriter }

// Flush implements http.Flusher, which net/http/pprof looks for.
func (c *counted) Flush() { _ = http.NewResponseController(c.ResponseWriter).Flush() }
