package upstream

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap/zaptest/observer"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// pass lets fake time pass.
func pass(d time.Duration) { <-time.NewTimer(d).C }

// inBubble runs f with a running Manager in fake time, without sockets.
func inBubble(t *testing.T, o Options, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) {
		m := NewManager(o)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- m.Run(ctx) }()
		f(t, &rig{t: t, m: m, snap: &config.Snapshot{Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{}}})
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestIdleConnectionsTimeOut(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.HTTP.IdleTimeout = time.Minute
	r.apply(cfg)
	c := r.get("a")
	old, young := mustOpen(t, c, &OpenInfo{}), mustOpen(t, c, &OpenInfo{})
	old.Release()
	young.Release()
	young.since = young.since.Add(30 * time.Second)
	c.sweep(time.Now().Add(61 * time.Second))
	if st := c.Stats(); st.CxIdleTimeout.Value() != 1 || st.CxActive.Value() != 1 {
		t.Errorf("upstream_cx_idle_timeout %d, cx_active %d", st.CxIdleTimeout.Value(), st.CxActive.Value())
	}
	if at := mustOpen(t, c, &OpenInfo{}); at != young {
		t.Error("the young one should have stayed")
	}
}

func TestConnectionsEndAfterTheirShare(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.HTTP.MaxRequestsPerConn = 2
	aged := static("b", o.addr)
	aged.HTTP.MaxConnDuration = time.Minute
	r.apply(cfg, aged)
	c := r.get("a")
	for range 4 {
		at := mustOpen(t, c, &OpenInfo{})
		roundTrip(t, at)
		at.Release()
	}
	if st := c.Stats(); st.CxTotal.Value() != 2 || st.CxMaxRequests.Value() != 2 || st.CxActive.Value() != 0 {
		t.Errorf("cx_total %d cx_max_requests %d cx_active %d", st.CxTotal.Value(), st.CxMaxRequests.Value(), st.CxActive.Value())
	}
	c = r.get("b")
	mustOpen(t, c, &OpenInfo{}).Release()
	c.sweep(time.Now().Add(59 * time.Second))
	if c.Stats().CxActive.Value() != 1 {
		t.Error("closed before its time")
	}
	c.sweep(time.Now().Add(61 * time.Second))
	if st := c.Stats(); st.CxActive.Value() != 0 || st.CxMaxDuration.Value() != 1 {
		t.Errorf("cx_active %d cx_max_duration_reached %d", st.CxActive.Value(), st.CxMaxDuration.Value())
	}
}

func TestEjectionAndReturn(t *testing.T) {
	core, logs := observer.New(zap.InfoLevel)
	inBubble(t, Options{Log: zap.New(core)}, func(t *testing.T, r *rig) {
		cfg := static("a", addrs(4)...)
		cfg.Outlier = &cluster.Outlier{Consecutive5xx: 3, EnforcingConsecutive5xx: 100, MaxEjectionPercent: 50, BaseEjection: 30 * time.Second, MaxEjection: 300 * time.Second, Interval: 10 * time.Second}
		r.apply(cfg)
		c := r.get("a")
		bad, _ := c.Pick(&PickInfo{})
		for range 3 {
			bad.Report(Outcome{Code: 503})
		}
		if !bad.Ejected() || picks(t, c, 100)[bad.String()] != 0 {
			t.Error("the bad host is still picked")
		}
		if c.Stats().MembershipHealthy.Value() != 3 || c.outlier.Active.Value() != 1 || c.outlier.Enforced5xx.Value() != 1 {
			t.Errorf("healthy %d, active %d, enforced %d", c.Stats().MembershipHealthy.Value(), c.outlier.Active.Value(), c.outlier.Enforced5xx.Value())
		}
		pass(25 * time.Second)
		if got := c.Hosts(); got[0].Ejections+got[1].Ejections+got[2].Ejections+got[3].Ejections != 1 || !bad.Ejected() {
			t.Error("back too early")
		}
		pass(6 * time.Second)
		synctest.Wait()
		if bad.Ejected() || picks(t, c, 100)[bad.String()] != 25 {
			t.Error("not back after 30 s")
		}
	})
	if logs.Len() != 2 {
		t.Errorf("%d log lines, want 2: %v", logs.Len(), logs.All())
	}
}

func TestOriginalDestinationsAreForgotten(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, r *rig) {
		cfg := static("a")
		cfg.Type, cfg.Assignment, cfg.CleanupInterval = cluster.OriginalDestination, nil, 5*time.Second
		r.apply(cfg)
		c := r.get("a")
		quiet, busy := addrs(2)[0], addrs(2)[1]
		_, _ = c.Pick(&PickInfo{Dest: quiet})
		for range 5 {
			h, _ := c.Pick(&PickInfo{Dest: busy})
			pass(3 * time.Second)
			synctest.Wait()
			if again, _ := c.Pick(&PickInfo{Dest: busy}); again != h {
				t.Error("a host in use was forgotten")
			}
		}
		if got := names(c); got != busy.String() || c.Stats().MembershipTotal.Value() != 1 {
			t.Errorf("hosts %q, membership_total %d", got, c.Stats().MembershipTotal.Value())
		}
	})
}

// asked is a Resolver that answers from a script, and notes when it was asked.
type asked struct {
	at      []time.Duration
	start   time.Time
	answers []answer
}

type answer struct {
	addrs []netip.Addr
	ttl   time.Duration
	err   error
}

func (a *asked) Resolve(context.Context, string, cluster.DNSFamily) ([]netip.Addr, time.Duration, error) {
	a.at = append(a.at, time.Since(a.start))
	x := a.answers[min(len(a.at), len(a.answers))-1]
	return x.addrs, x.ttl, x.err
}

func dnsCluster(name string, typ cluster.DiscoveryType) *cluster.Cluster {
	c := static(name)
	c.Type = typ
	c.DNS = cluster.DNS{Refresh: 5 * time.Second, RespectTTL: true, FailureRefresh: 2 * time.Second}
	c.Assignment.Localities[0].Endpoints = []*cluster.Endpoint{{Name: "origin.test", Port: 80, Weight: 1}}
	return c
}

func TestStrictDNSFollowsTheName(t *testing.T) {
	one, two := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	q := &asked{answers: []answer{
		{err: errors.New("no server answers")},
		{addrs: []netip.Addr{one, two}, ttl: 10 * time.Second},
		{err: errors.New("no server answers")},
		{addrs: []netip.Addr{two}},
		{err: dns.ErrNoSuchName},
	}}
	inBubble(t, Options{Resolver: q}, func(t *testing.T, r *rig) {
		q.start = time.Now()
		r.apply(dnsCluster("a", cluster.StrictDNS))
		c := r.get("a")
		if err := r.m.Resolved(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Pick(&PickInfo{}); err == nil || !err.Flag.Has(info.DNSResolutionFailure) || !err.Flag.Has(info.NoHealthyUpstream) {
			t.Errorf("unresolved: %v", err)
		}
		at := func(d time.Duration, want string) {
			pass(d)
			synctest.Wait()
			if got := names(c); got != want {
				t.Errorf("after %v: hosts %q, want %q", time.Since(q.start), got, want)
			}
		}
		at(3*time.Second, "192.0.2.1:80 192.0.2.2:80")  // asked again after failure_refresh
		at(10*time.Second, "192.0.2.1:80 192.0.2.2:80") // the TTL is over, nobody answers: they stay
		at(3*time.Second, "192.0.2.2:80")
		at(5*time.Second, "")
	})
	want := []time.Duration{0, 2 * time.Second, 12 * time.Second, 14 * time.Second, 19 * time.Second}
	if len(q.at) < len(want) {
		t.Fatalf("asked at %v", q.at)
	}
	for i, w := range want {
		if d := q.at[i] - w; d < 0 || d > 5*slack {
			t.Errorf("asked at %v, want about %v", q.at, want)
			break
		}
	}
}

func TestLogicalDNSKeepsItsHost(t *testing.T) {
	q := &asked{answers: []answer{
		{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}},
		{addrs: []netip.Addr{netip.MustParseAddr("192.0.2.3")}},
		{err: dns.ErrNoSuchName},
	}}
	inBubble(t, Options{Resolver: q}, func(t *testing.T, r *rig) {
		r.apply(dnsCluster("a", cluster.LogicalDNS))
		_ = r.m.Resolved(t.Context())
		c := r.get("a")
		h, err := c.Pick(&PickInfo{})
		if err != nil || h.String() != "192.0.2.1:80" {
			t.Fatal(h, err)
		}
		pass(6 * time.Second)
		synctest.Wait()
		if again, _ := c.Pick(&PickInfo{}); again != h || h.String() != "192.0.2.3:80" {
			t.Errorf("host %p at %s, want %p at the new address", again, again, h)
		}
		pass(6 * time.Second)
		synctest.Wait()
		if again, _ := c.Pick(&PickInfo{}); again != h || h.String() != "192.0.2.3:80" {
			t.Error("a name that vanished took the host with it")
		}
	})
}

func TestHalfOpenBreaker(t *testing.T) {
	inBubble(t, Options{}, func(t *testing.T, r *rig) {
		cfg := static("a", addrs(2)...)
		cfg.Breaker = &cluster.Breaker{Consecutive: 2, Window: time.Minute, OpenFor: 10 * time.Second, HalfOpenMax: 1}
		r.apply(cfg)
		c := r.get("a")
		trip := func(h *Host) {
			for range 2 {
				tok, err := h.breaker.Load().Allow()
				if err != nil {
					t.Fatal(err)
				}
				tok.Done(Outcome{Code: 500}.failed())
			}
		}
		a, _ := c.Pick(&PickInfo{})
		b, _ := c.Pick(&PickInfo{})
		trip(a)
		if got := picks(t, c, 100); got[a.String()] != 0 || got[b.String()] != 100 {
			t.Errorf("with one breaker open: %v", got)
		}
		if s, ok := a.BreakerState(); !ok || s != breaker.Open {
			t.Errorf("state %v %v", s, ok)
		}
		trip(b)
		_, err := c.Pick(&PickInfo{})
		if err == nil || err.Flag != info.UpstreamOverflow || err.Details != DetailsBreakerOpen {
			t.Errorf("all open: %+v", err)
		}
		if st := c.Stats().HalfOpen; st.Opened.Value() != 2 || st.Open.Value() != 2 || st.Rejected.Value() != 1 {
			t.Errorf("opened %d open %d rejected %d", st.Opened.Value(), st.Open.Value(), st.Rejected.Value())
		}
		if _, err := c.OpenHTTP(t.Context(), a, &OpenInfo{}); err == nil || !err.Another || err.Details != DetailsBreakerOpen {
			t.Errorf("opening past an open breaker: %+v", err)
		}
		pass(11 * time.Second)
		if got := picks(t, c, 100); len(got) != 2 {
			t.Errorf("half open: %v, want both for a probe", got)
		}
		tok, terr := a.breaker.Load().Allow()
		if terr != nil {
			t.Fatal(terr)
		}
		if got := picks(t, c, 100); got[a.String()] != 0 {
			t.Errorf("with its probe under way %s was picked %d times", a, got[a.String()])
		}
		tok.Done(false, true)
		if s, _ := a.BreakerState(); s != breaker.Closed || c.Stats().HalfOpen.Open.Value() != 1 {
			t.Errorf("after a good probe: %v, %d open", s, c.Stats().HalfOpen.Open.Value())
		}
		// A host that leaves takes its open breaker out of the count, once.
		late, terr := b.breaker.Load().Allow()
		if terr != nil {
			t.Fatal(terr)
		}
		next := *cfg
		next.Assignment = assignment("a", a.Address())
		r.apply(&next)
		late.Done(false, true)
		if got := c.Stats().HalfOpen.Open.Value(); got != 0 {
			t.Errorf("%d open after the host has left", got)
		}
	})
}

func TestBreakerTokenComesBack(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("a", o.addr)
	cfg.Breaker = &cluster.Breaker{Consecutive: 3, Window: time.Minute, OpenFor: time.Hour, HalfOpenMax: 1}
	dead := static("dead", refused(t))
	dead.Breaker = cfg.Breaker
	r.apply(cfg, dead)
	c := r.get("a")
	for range 2 {
		at := mustOpen(t, c, &OpenInfo{})
		at.Report(Outcome{Code: 503})
		at.Report(Outcome{Code: 503}) // once is enough
		at.Release()
	}
	at := mustOpen(t, c, &OpenInfo{})
	at.Report(Outcome{Failure: Cancelled})
	at.Abort()
	if s, _ := at.Host.BreakerState(); s != breaker.Closed {
		t.Fatal("open after two failures and a cancelled request")
	}
	at = mustOpen(t, c, &OpenInfo{})
	at.Report(Outcome{Failure: Reset})
	at.Abort()
	if _, err := c.Pick(&PickInfo{}); err == nil || err.Details != DetailsBreakerOpen {
		t.Errorf("not open after three failures: %v", err)
	}
	c = r.get("dead")
	for range 3 {
		h, err := c.Pick(&PickInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.OpenHTTP(context.Background(), h, &OpenInfo{}); err == nil {
			t.Fatal("connected to nobody")
		}
	}
	if _, err := c.Pick(&PickInfo{}); err == nil || err.Details != DetailsBreakerOpen {
		t.Errorf("not open after three refused connections: %v", err)
	}
}
