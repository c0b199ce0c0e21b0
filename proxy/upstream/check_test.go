package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// often is a check every few milliseconds, as far as the schedule goes.
func often() *cluster.HealthCheck {
	const d = 5 * time.Millisecond
	return &cluster.HealthCheck{
		Timeout: 5 * time.Second, Interval: d, NoTraffic: d, NoTrafficHealthy: d, Unhealthy: d, UnhealthyEdge: d, HealthyEdge: d,
		UnhealthyThreshold: 2, HealthyThreshold: 2, Reuse: true,
	}
}

// sick is a server that is well or not.
type sick struct {
	*httptest.Server
	addr   netip.AddrPort
	code   atomic.Int64 // of the response; 0 is 200
	checks atomic.Int64
	conns  atomic.Int64
	header atomic.Pointer[http.Header] // of the last check
	answer atomic.Pointer[string]      // a header of the response
}

func newSick(t *testing.T) *sick {
	s := &sick{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == checkAgent {
			s.checks.Add(1)
			h := r.Header.Clone()
			h.Set("host", r.Host)
			h.Set(":path", r.Method+" "+r.URL.Path+" "+r.Proto)
			s.header.Store(&h)
		}
		if n := s.answer.Load(); n != nil {
			w.Header().Set(*n, "true")
		}
		w.WriteHeader(int(max(s.code.Load(), 200)))
		_, _ = io.WriteString(w, "body")
	}))
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			s.conns.Add(1)
		}
	}
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	s.Config.Protocols = p
	s.Start()
	t.Cleanup(s.Close)
	s.addr = netip.MustParseAddrPort(s.Listener.Addr().String())
	return s
}

func getCheck() *cluster.HTTPCheck {
	return &cluster.HTTPCheck{Path: "/healthz", Method: "GET", Expected: []cluster.StatusRange{{Start: 200, End: 201}}, Retriable: []cluster.StatusRange{{Start: 503, End: 504}}}
}

// state counts the cluster's healthy and degraded hosts.
func tally(c *Cluster) [2]int {
	s := c.set.Load()
	return [2]int{s.counts.healthy, s.counts.degraded}
}

func TestHTTPCheck(t *testing.T) {
	for _, two := range []bool{false, true} {
		t.Run(map[bool]string{false: "HTTP1", true: "HTTP2"}[two], func(t *testing.T) {
			r, o := newRig(t, Options{}), newSick(t)
			cfg := static("a", o.addr)
			cfg.Health = often()
			cfg.Health.HTTP = getCheck()
			cfg.Health.HTTP.HTTP2 = two
			cfg.Health.HTTP.Add = []cluster.CheckHeader{{Name: "x-a", Value: "1"}, {Name: "x-b", Value: "2"}}
			cfg.Health.HTTP.Remove = []string{"x-b"}
			r.apply(cfg)
			c := r.get("a")
			if got := tally(c); got[0] != 0 {
				t.Errorf("before the first check %v hosts are healthy", got)
			}
			until(t, "healthy", func() bool { return tally(c) == [2]int{1, 0} })
			h := *o.header.Load()
			proto := "HTTP/1.1"
			if two {
				proto = "HTTP/2.0"
			}
			if h.Get("host") != "a" || h.Get(":path") != "GET /healthz "+proto || h.Get("x-a") != "1" || h.Get("x-b") != "" {
				t.Errorf("a check sent %v", h)
			}
			before := o.checks.Load()
			until(t, "more checks", func() bool { return o.checks.Load() > before+2 })
			if n := o.conns.Load(); n != 1 {
				t.Errorf("%d connections, want one for all checks", n)
			}
			if n := c.stats.CxTotal.Value(); n != 0 {
				t.Errorf("checks count as %d connections for traffic", n)
			}
			o.code.Store(500)
			until(t, "failed", func() bool { return tally(c) == [2]int{0, 0} })
			if f := c.Hosts()[0].HealthFlags(); f != "/failed_active_hc" {
				t.Errorf("flags %q", f)
			}
			degradedName := "x-envoy-degraded"
			o.answer.Store(&degradedName)
			o.code.Store(200)
			until(t, "degraded", func() bool { return tally(c) == [2]int{0, 1} })
			o.answer.Store(nil)
			until(t, "healthy again", func() bool { return tally(c) == [2]int{1, 0} })
			o.Close()
			until(t, "gone", func() bool { return tally(c) == [2]int{0, 0} })
			if c.checks.NetworkFailure.Value() < 2 || c.checks.Healthy.Value() != 0 {
				t.Error("a network failure was not counted")
			}
		})
	}
}

func TestTCPCheck(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var mute atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			if line, _ := bufio.NewReader(c).ReadString('\n'); line == "PING\n" && !mute.Load() {
				_, _ = io.WriteString(c, "+ well, PONG\r\n")
			}
			c.Close()
		}
	}()
	r := newRig(t, Options{})
	cfg := static("a", netip.MustParseAddrPort("127.0.0.1:1"))
	cfg.Assignment.Localities[0].Endpoints[0].Check = &cluster.EndpointCheck{Port: netip.MustParseAddrPort(ln.Addr().String()).Port()}
	cfg.Health = often()
	cfg.Health.TCP = &cluster.TCPCheck{Send: []byte("PING\n"), Receive: [][]byte{[]byte("+"), []byte("PONG")}}
	r.apply(cfg)
	c := r.get("a")
	until(t, "healthy", func() bool { return tally(c) == [2]int{1, 0} })
	mute.Store(true)
	until(t, "failed", func() bool { return tally(c) == [2]int{0, 0} })
	ln.Close()
	<-done
}

func TestCheckTimesOut(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts, and nobody answers
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := newRig(t, Options{})
	cfg := static("a", netip.MustParseAddrPort(ln.Addr().String()))
	cfg.Health = often()
	cfg.Health.Timeout = 50 * time.Millisecond
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	c := r.get("a")
	until(t, "timed out", func() bool { return c.Hosts()[0].Checks == CheckInfo{Failed: true, TimedOut: true} })
}

// TestCheckEndsWithCluster: a check that waits for an answer ends with its cluster,
// long before its timeout; goleak sees to the rest.
func TestCheckEndsWithCluster(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r := newRig(t, Options{})
	cfg := static("a", netip.MustParseAddrPort(ln.Addr().String()))
	cfg.Health = often()
	cfg.Health.Timeout = time.Hour
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	c := r.get("a")
	until(t, "a check", func() bool { return c.checks.Attempt.Value() == 1 })
}

func TestImmediateFailureAndLingering(t *testing.T) {
	r, o := newRig(t, Options{}), newSick(t)
	cfg := static("a", o.addr)
	cfg.Health = often()
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	c := r.get("a")
	until(t, "healthy", func() bool { return tally(c) == [2]int{1, 0} })
	name := "x-envoy-immediate-health-check-fail"
	o.answer.Store(&name)
	o.code.Store(503) // counted: the response to traffic is what decides first, or two checks
	a := mustOpen(t, c, &OpenInfo{})
	roundTrip(t, a)
	a.Release()
	if tally(c) != [2]int{0, 0} {
		t.Error("the host is used still")
	}
	o.answer.Store(nil)
	o.code.Store(200)
	until(t, "healthy again", func() bool { return tally(c) == [2]int{1, 0} })

	gone := *cfg
	gone.Assignment = assignment("a")
	r.apply(&gone)
	if f := c.Hosts(); len(f) != 1 || !f[0].Checks.Leaving {
		t.Errorf("a healthy host left at once: %v", f)
	}
	o.code.Store(500)
	until(t, "gone", func() bool { return len(c.Hosts()) == 0 })
}

func TestChecksCanBeTurnedOff(t *testing.T) {
	r, o := newRig(t, Options{}), newSick(t)
	o.code.Store(500)
	cfg := static("a", o.addr, o.addr)
	cfg.Health = often()
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	c := r.get("a")
	until(t, "checks", func() bool { return o.checks.Load() > 1 })
	without := *cfg
	without.Health = nil
	r.apply(&without)
	if tally(c) != [2]int{1, 0} {
		t.Error("a host without checks is not used")
	}
	except := *cfg
	except.Assignment = assignment("a", o.addr)
	except.Assignment.Localities[0].Endpoints[0].Check = &cluster.EndpointCheck{Disabled: true}
	r.apply(&except)
	if tally(c) != [2]int{1, 0} {
		t.Error("a host with disabled checks is not used")
	}
}

// TestPassingCheckEndsEjection: what outlier detection took out comes back with the
// next check that succeeds.
func TestPassingCheckEndsEjection(t *testing.T) {
	r, o := newRig(t, Options{}), newSick(t)
	cfg := static("a", o.addr)
	cfg.Outlier = &cluster.Outlier{Consecutive5xx: 1, EnforcingConsecutive5xx: 100, Interval: time.Hour, BaseEjection: time.Hour, MaxEjectionPercent: 100, AlwaysEjectOne: true}
	cfg.Health = often()
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	c := r.get("a")
	until(t, "healthy", func() bool { return tally(c) == [2]int{1, 0} })
	c.order[0].Report(Outcome{Code: 500})
	if n := c.outlier.EnforcedTotal.Value(); n != 1 {
		t.Errorf("%d ejections", n)
	}
	until(t, "back", func() bool { return tally(c) == [2]int{1, 0} })
}

// TestResolvedWaitsForFirstChecks: a start waits until it is known who is healthy.
func TestResolvedWaitsForFirstChecks(t *testing.T) {
	r, o := newRig(t, Options{}), newSick(t)
	cfg := static("a", o.addr)
	cfg.Health = often()
	cfg.Health.HTTP = getCheck()
	r.apply(cfg)
	if err := r.m.Resolved(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tally(r.get("a")); got != [2]int{1, 0} {
		t.Errorf("%d healthy hosts", got[0])
	}
}

func TestServingStatus(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want uint64
		ok   bool
	}{
		{"\x00\x00\x00\x00\x02\x08\x01", 1, true},
		{"\x00\x00\x00\x00\x00", 0, true},
		{"\x01\x00\x00\x00\x02\x08\x01", 0, false},
		{"\x00\x00\x00\x00\x02\x08", 0, false},
		{"\x00\x00\x00\x00\x01\x08", 0, false},
		{"\x00\x00\x00\x00\x02\x10\x01", 0, false},
		{"", 0, false},
	} {
		if got, ok := servingStatus([]byte(tc.in)); got != tc.want || ok != tc.ok {
			t.Errorf("%q: %d %v", tc.in, got, ok)
		}
	}
}

func FuzzServingStatus(f *testing.F) {
	for _, s := range []string{"", "\x00\x00\x00\x00\x02\x08\x01", "\x00\x00\x00\x00\x04\x08\x80\x80\x01", "\x00\xff\xff\xff\xff\x08"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if v, ok := servingStatus(b); ok && v == serving && len(b) < 7 {
			t.Errorf("%q counts as serving", b)
		}
	})
}
