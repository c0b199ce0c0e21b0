package upstream

import (
	"context"
	"sync"
	"testing"

	"github.com/weirproxy/weir/proxy/header"
)

// try is roundTrip for a server that may hang up at any time.
func try(a *Attempt, req, resp, tr *header.Headers) error {
	a.Begin(nil)
	if err := a.WriteHeaders(req, true); err != nil {
		return err
	}
	if err := a.Flush(); err != nil {
		return err
	}
	if _, err := a.ReadHeaders(resp); err != nil {
		return err
	}
	for end := a.StartBody(tr); !end; {
		var err error
		if _, end, err = a.ReadBody(); err != nil {
			return err
		}
	}
	return nil
}

// Servers that hang up in every possible moment must not cost a place, a count or
// a request that waits.
func TestHangUpsLoseNothing(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("x", a.addr, b.addr)
	cfg.Default.MaxConnections = 4
	cfg.HTTP.MaxRequestsPerConn = 50
	r.apply(cfg)
	c := r.get("x")

	stop := make(chan struct{})
	var noise, wg sync.WaitGroup
	noise.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if i%2 == 0 {
				a.hangUp()
			} else {
				b.hangUp()
			}
			next := *cfg
			r.apply(&next) // and configuration that changes
		}
	})
	for i := range 8 {
		wg.Go(func() {
			var req, resp, tr header.Headers
			req.AddString(header.Method, "GET")
			req.AddString(header.Path, "/")
			req.AddString(header.Authority, "a")
			for k := range 200 {
				h, perr := c.Pick(&PickInfo{Rand: uint64(i*1000+k) + 1})
				if perr != nil {
					t.Error(perr)
					return
				}
				at, err := c.OpenHTTP(context.Background(), h, &OpenInfo{})
				if err != nil {
					continue // the server may be gone before the handshake is over
				}
				if try(at, &req, &resp, &tr) != nil {
					at.Report(Outcome{Failure: Reset})
					at.Abort()
					continue
				}
				at.Report(Outcome{Code: 200})
				at.Release()
			}
		})
	}
	wg.Wait()
	close(stop)
	noise.Wait()
	a.hangUp()
	b.hangUp()
	until(t, "all connections are gone", func() bool { return c.Stats().CxActive.Value() == 0 })
	u, st := c.Usage(false), c.Stats()
	if u.Connections != 0 || u.Pending != 0 || u.Waiting != 0 || st.RqActive.Value() != 0 || st.RqPendingActive.Value() != 0 {
		t.Errorf("left behind: %+v, rq_active %d, rq_pending_active %d", u, st.RqActive.Value(), st.RqPendingActive.Value())
	}
	if st.CxTotal.Value() != st.CxDestroy.Value()+st.CxConnectFail.Value() {
		t.Errorf("%d connections made, %d ended, %d failed", st.CxTotal.Value(), st.CxDestroy.Value(), st.CxConnectFail.Value())
	}
	for _, h := range c.Hosts() {
		if h.CxActive != 0 || h.RqActive != 0 || h.CxIdle != 0 {
			t.Errorf("host left with %+v", h)
		}
	}
}
