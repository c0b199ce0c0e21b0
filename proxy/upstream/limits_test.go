package upstream

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

func TestLimitsAreExact(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(1)...)
	cfg.Default.MaxRequests, cfg.Default.TrackRemaining = 10, true
	r.apply(cfg)
	c := r.get("a")
	var taken, refused atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if c.TakeRequest(false) == nil {
					taken.Add(1)
				} else {
					refused.Add(1)
				}
			}
		})
	}
	wg.Wait()
	st := c.Stats()
	remaining := r.m.stats.Scope("a").Scope("circuit_breakers.default").Gauge("remaining_rq")
	if taken.Load() != 10 || refused.Load() != 790 || st.RqPendingOverflow.Value() != 790 {
		t.Errorf("taken %d, refused %d, overflow %d, want 10, 790, 790", taken.Load(), refused.Load(), st.RqPendingOverflow.Value())
	}
	if st.Default.RqOpen.Value() != 1 || remaining.Value() != 0 {
		t.Errorf("at the limit: rq_open %d remaining %d", st.Default.RqOpen.Value(), remaining.Value())
	}
	for range 10 {
		wg.Go(func() { c.GiveRequest(false) })
	}
	wg.Wait()
	if st.Default.RqOpen.Value() != 0 || remaining.Value() != 10 {
		t.Errorf("after: rq_open %d remaining %d", st.Default.RqOpen.Value(), remaining.Value())
	}
	err := func() *Error {
		for {
			if e := c.TakeRequest(false); e != nil {
				return e
			}
		}
	}()
	if err.Flag != info.UpstreamOverflow || err.Details != "overflow" || err.Error() != `max_requests: cluster "a": max_requests 10: circuit breaker limit reached` {
		t.Errorf("%+v: %v", err, err)
	}
	if c.TakeRequest(true) != nil {
		t.Error("the other priority has limits of its own")
	}
}

func TestLimitsAllocateNothing(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(1)...)
	cfg.Default.MaxRequests = 1
	r.apply(cfg)
	c := r.get("a")
	if n := testing.AllocsPerRun(100, func() {
		c.TakeRequest(false)
		c.TakeRequest(false) // overflow
		c.GiveRequest(false)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestRetryBudget(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(1)...)
	plain := static("b", addrs(1)...)
	cfg.Default.BudgetPercent, cfg.Default.BudgetMinConcurrency = 20, 3
	r.apply(cfg, plain)
	retries := func(name string, requests int) int {
		c := r.get(name)
		for range requests {
			c.TakeRequest(false)
		}
		n := 0
		for c.TakeRetry(false) {
			n++
		}
		for range n {
			c.GiveRetry(false)
		}
		for range requests {
			c.GiveRequest(false)
		}
		return n
	}
	for _, tc := range []struct {
		cluster        string
		requests, want int
	}{{"a", 0, 3}, {"a", 15, 3}, {"a", 50, 10}, {"b", 50, 3}} {
		if got := retries(tc.cluster, tc.requests); got != tc.want {
			t.Errorf("%s with %d requests: %d retries at once, want %d", tc.cluster, tc.requests, got, tc.want)
		}
	}
	if got := r.get("a").Stats().RqRetryOverflow.Value(); got != 3 {
		t.Errorf("upstream_rq_retry_overflow %d, want 3", got)
	}
}

// opened is what an OpenHTTP on another goroutine came to.
type opened struct {
	a   *Attempt
	err *Error
}

func openLater(ctx context.Context, c *Cluster, h *Host, o *OpenInfo) chan opened {
	ch := make(chan opened, 1)
	go func() {
		a, err := c.OpenHTTP(ctx, h, o)
		ch <- opened{a, err}
	}()
	return ch
}

func TestWaitingForAConnectionIsFIFOAndBounded(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.Default.MaxConnections, cfg.Default.MaxPending = 1, 2
	r.apply(cfg)
	c, ctx := r.get("a"), context.Background()
	h, _ := c.Pick(&PickInfo{})
	only := mustOpen(t, c, &OpenInfo{})
	st := c.Stats()
	if st.Default.CxOpen.Value() != 1 {
		t.Errorf("cx_open %d at the limit", st.Default.CxOpen.Value())
	}
	first := openLater(ctx, c, h, &OpenInfo{})
	until(t, "the first waits", func() bool { return c.Usage(false).Waiting == 1 })
	second := openLater(ctx, c, h, &OpenInfo{})
	until(t, "the second waits", func() bool { return c.Usage(false).Waiting == 2 })
	if st.Default.RqPendingOpen.Value() != 1 || st.RqPendingActive.Value() != 2 {
		t.Errorf("rq_pending_open %d, upstream_rq_pending_active %d", st.Default.RqPendingOpen.Value(), st.RqPendingActive.Value())
	}
	if _, err := c.OpenHTTP(ctx, h, &OpenInfo{}); err == nil || err.Flag != info.UpstreamOverflow {
		t.Errorf("the third: %v, want overflow", err)
	}
	if st.RqPendingOverflow.Value() != 1 || st.CxOverflow.Value() != 2 {
		t.Errorf("pending_overflow %d cx_overflow %d", st.RqPendingOverflow.Value(), st.CxOverflow.Value())
	}
	roundTrip(t, only)
	only.Release()
	got := <-first
	if got.err != nil || got.a != only || !got.a.Reused {
		t.Fatalf("the first got %+v, want the connection that came free", got)
	}
	got.a.Abort() // no connection comes free, but a place does
	got = <-second
	if got.err != nil || got.a == only || got.a.Reused {
		t.Fatalf("the second got %+v, want a new connection", got)
	}
	roundTrip(t, got.a)
	got.a.Release()
	if o.accepted() != 2 || c.Usage(false).Connections != 1 || c.Usage(false).Pending != 0 {
		t.Errorf("%d accepted, usage %+v", o.accepted(), c.Usage(false))
	}
}

func TestWaitingEnds(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.Default.MaxConnections = 1
	r.apply(cfg)
	c := r.get("a")
	h, _ := c.Pick(&PickInfo{})
	only := mustOpen(t, c, &OpenInfo{})

	_, err := c.OpenHTTP(context.Background(), h, &OpenInfo{Deadline: time.Now().Add(time.Millisecond)})
	if err == nil || err.Flag != info.UpstreamRequestTimeout || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, errLimit) {
		t.Errorf("deadline: %+v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ch := openLater(ctx, c, h, &OpenInfo{})
	until(t, "it waits", func() bool { return c.Usage(false).Waiting == 1 })
	cancel()
	if got := <-ch; got.err == nil || got.err.Flag != info.DownstreamConnectionTermination {
		t.Errorf("cancelled: %+v", got)
	}
	if u := c.Usage(false); u.Waiting != 0 || u.Pending != 0 || u.Connections != 1 {
		t.Errorf("left behind: %+v", u)
	}
	only.Release()
}

// One host's idle connections must not starve another host of the cluster.
func TestIdleConnectionsElsewhereMakeRoom(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", a.addr, b.addr)
	cfg.Default.MaxConnections = 1
	r.apply(cfg)
	c := r.get("a")
	for range 3 {
		for _, info := range c.Hosts() {
			var h *Host
			c.eachHost(func(x *Host) bool { h = x; return x.Address() != info.Addr })
			at, err := c.OpenHTTP(context.Background(), h, &OpenInfo{})
			if err != nil {
				t.Fatal(err)
			}
			roundTrip(t, at)
			at.Release()
		}
	}
	if got := c.Stats().CxTotal.Value(); got != 6 {
		t.Errorf("%d connections, want 6: each in place of the other's", got)
	}
	if u := c.Usage(false); u.Connections != 1 {
		t.Errorf("%d open, want 1", u.Connections)
	}
}

func TestConnectionLimitHoldsUnderLoad(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", a.addr, b.addr)
	cfg.Default.MaxConnections, cfg.PerHostMaxConnections = 3, 2
	cfg.HTTP.MaxRequestsPerConn = 5
	r.apply(cfg)
	c := r.get("a")
	var wg sync.WaitGroup
	var over atomic.Int64
	for i := range 16 {
		wg.Go(func() {
			for k := range 50 {
				h, perr := c.Pick(&PickInfo{Rand: uint64(i*1000+k) + 1})
				if perr != nil {
					t.Error(perr)
					return
				}
				at, err := c.OpenHTTP(context.Background(), h, &OpenInfo{Fresh: k%7 == 0})
				if err != nil {
					t.Error(err)
					return
				}
				if c.Usage(false).Connections > 3 || h.connections.n.Load() > 2 {
					over.Add(1)
				}
				roundTrip(t, at)
				if k%11 == 0 {
					at.Abort()
				} else {
					at.Release()
				}
			}
		})
	}
	wg.Wait()
	if over.Load() != 0 {
		t.Errorf("above the limit %d times", over.Load())
	}
	st := c.Stats()
	if u := c.Usage(false); u.Waiting != 0 || u.Pending != 0 || u.Connections != st.CxActive.Value() || st.RqActive.Value() != 0 {
		t.Errorf("left behind: %+v, cx_active %d rq_active %d", u, st.CxActive.Value(), st.RqActive.Value())
	}
	if st.RqTotal.Value() != 800 {
		t.Errorf("upstream_rq_total %d, want 800", st.RqTotal.Value())
	}
}

func TestTCPConnectionLimit(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.Default.MaxConnections = 1
	r.apply(cfg)
	c := r.get("a")
	h, _ := c.Pick(&PickInfo{})
	ctx := context.Background()
	one, err := c.OpenTCP(ctx, h, &OpenInfo{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenTCP(ctx, h, &OpenInfo{}); err == nil || err.Flag != info.UpstreamOverflow {
		t.Errorf("the second: %v", err)
	}
	if err := one.Close(); err != nil {
		t.Error(err)
	}
	_ = one.Close()
	two, err := c.OpenTCP(ctx, h, &OpenInfo{})
	if err != nil {
		t.Fatal(err)
	}
	_ = two.Reset()
	st := c.Stats()
	if st.CxActive.Value() != 0 || st.CxTotal.Value() != 2 || st.CxOverflow.Value() != 1 || c.Usage(false).Connections != 0 {
		t.Errorf("cx_active %d cx_total %d cx_overflow %d", st.CxActive.Value(), st.CxTotal.Value(), st.CxOverflow.Value())
	}
}

func TestThresholdsChangeLive(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(1)...)
	cfg.Default.MaxRequests = 1
	r.apply(cfg)
	c := r.get("a")
	c.TakeRequest(false)
	if c.TakeRequest(false) == nil {
		t.Fatal("above the limit")
	}
	wider := *cfg
	wider.Default.MaxRequests = 2
	r.apply(&wider)
	if r.get("a") != c || c.Stats().Default.RqOpen.Value() != 0 || c.TakeRequest(false) != nil || c.Stats().Default.RqOpen.Value() != 1 {
		t.Error("the wider limit does not hold")
	}
}
