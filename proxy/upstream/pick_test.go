package upstream

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// policy gives a policy of the table with a parsed configuration.
func policy(t testing.TB, name string, cfg any) extension.Parsed {
	t.Helper()
	for _, f := range lb.Policies() {
		if f.Name == "envoy.load_balancing_policies."+name {
			return extension.Parsed{Name: name, Factory: f, Config: cfg}
		}
	}
	t.Fatalf("no policy %q", name)
	return extension.Parsed{}
}

// picks counts which hosts are picked.
func picks(t testing.TB, c *Cluster, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for i := range n {
		h, err := c.Pick(&PickInfo{Rand: uint64(i)*0x9e3779b97f4a7c15 + 1})
		if err != nil {
			out[err.Details]++
			continue
		}
		out[h.String()]++
	}
	return out
}

func TestPickByWeight(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(3)...)
	e := cfg.Assignment.Localities[0].Endpoints
	e[0].Weight, e[1].Weight, e[2].Weight = 90, 9, 1
	r.apply(cfg)
	got := picks(t, r.get("a"), 1000)
	want := map[string]int{"192.0.2.1:80": 900, "192.0.2.2:80": 90, "192.0.2.3:80": 10}
	for k := range want {
		if d := got[k] - want[k]; d < -1 || d > 1 {
			t.Errorf("got %v, want %v", got, want)
			break
		}
	}
}

// localities makes an assignment of localities, each with its hosts' health.
func localities(ls ...cluster.Locality) *cluster.Assignment {
	n := 0
	for i := range ls {
		ls[i].Zone = fmt.Sprint("z", i)
		for j := range ls[i].Endpoints {
			n++
			ls[i].Endpoints[j].Addr = addrs(n)[n-1]
			ls[i].Endpoints[j].Weight = 1
		}
	}
	return &cluster.Assignment{Overprovisioning: 140, Localities: ls}
}

func hosts(health ...cluster.Health) []*cluster.Endpoint {
	out := make([]*cluster.Endpoint, len(health))
	for i, h := range health {
		out[i] = &cluster.Endpoint{Health: h}
	}
	return out
}

const ok, bad, deg = cluster.Healthy, cluster.Unhealthy, cluster.Degraded

func TestPickByPriority(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.Assignment = localities(
		cluster.Locality{Priority: 0, Endpoints: hosts(ok, bad)},
		cluster.Locality{Priority: 1, Endpoints: hosts(ok)},
	)
	r.apply(cfg)
	got := picks(t, r.get("a"), 10000)
	if n := got["192.0.2.1:80"]; n < 6800 || n > 7200 {
		t.Errorf("priority 0 at half health got %d of 10000, want about 7000", n)
	}
	if n := got["192.0.2.2:80"]; n != 0 {
		t.Errorf("the unhealthy host was picked %d times", n)
	}
}

// Only a policy that hashes lets the request's hash decide on the priority.
func TestPriorityOfHashedRequests(t *testing.T) {
	r := newRig(t, Options{})
	two := localities(
		cluster.Locality{Priority: 0, Endpoints: hosts(ok, bad)},
		cluster.Locality{Priority: 1, Endpoints: hosts(ok)},
	)
	for _, tc := range []struct {
		policy string
		want   int // how many of the hosts one hash finds
	}{{"round_robin", 2}, {"ring_hash", 1}} {
		cfg := static(tc.policy)
		cfg.Assignment, cfg.LB.Policy = two, policy(t, tc.policy, nil)
		r.apply(cfg)
		found := map[*Host]bool{}
		for range 200 {
			h, err := r.get(tc.policy).Pick(&PickInfo{Hash: 7, HasHash: true})
			if err != nil {
				t.Fatal(err)
			}
			found[h] = true
		}
		if len(found) != tc.want {
			t.Errorf("%s: one hash found %d hosts, want %d", tc.policy, len(found), tc.want)
		}
	}
}

func TestPanicUsesEverybody(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.Assignment = localities(cluster.Locality{Endpoints: hosts(ok, bad, bad, bad)})
	r.apply(cfg)
	c := r.get("a")
	got := picks(t, c, 400)
	if len(got) != 4 || got["192.0.2.4:80"] != 100 {
		t.Errorf("in panic: %v, want 100 each", got)
	}
	if c.Stats().LBHealthyPanic.Value() != 400 {
		t.Errorf("lb_healthy_panic %d, want 400", c.Stats().LBHealthyPanic.Value())
	}
	if diff := cmp.Diff([]bool{true}, c.Panicking()); diff != "" {
		t.Error(diff)
	}
	calm := *cfg
	calm.Panic = 0
	r.apply(&calm)
	if got := picks(t, c, 400); got["192.0.2.1:80"] != 400 {
		t.Errorf("threshold 0: %v, want the healthy host only", got)
	}
}

func TestNoHealthyUpstreamIsUH(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.Panic = 0
	cfg.Assignment = localities(cluster.Locality{Endpoints: hosts(bad)})
	r.apply(cfg, static("empty"))
	for _, name := range []string{"a", "empty"} {
		c := r.get(name)
		_, err := c.Pick(&PickInfo{})
		if err == nil || err.Flag != info.NoHealthyUpstream || err.Details != "no_healthy_upstream" {
			t.Errorf("%s: %+v", name, err)
		}
		if c.Stats().CxNoneHealthy.Value() != 1 {
			t.Errorf("%s: upstream_cx_none_healthy %d", name, c.Stats().CxNoneHealthy.Value())
		}
	}
}

func TestLocalityWeights(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.LB.Policy = policy(t, "least_request", lb.LeastRequest{Locality: lb.Locality{Weighted: true}, Choices: 2, Bias: 1})
	cfg.Assignment = localities(
		cluster.Locality{Weight: 3, Endpoints: hosts(ok)},
		cluster.Locality{Weight: 1, Endpoints: hosts(ok, ok)},
		cluster.Locality{Weight: 0, Endpoints: hosts(ok)},
	)
	r.apply(cfg)
	c := r.get("a")
	got := picks(t, c, 400)
	if n := got["192.0.2.1:80"]; n < 299 || n > 301 {
		t.Errorf("weights 3 and 1: %v", got)
	}
	if got["192.0.2.4:80"] != 0 {
		t.Errorf("a locality without weight was picked: %v", got)
	}
	// Of the first locality half are left: 0.5 × 1.4 = 0.7 of its weight.
	next := *cfg
	next.Assignment = localities(
		cluster.Locality{Weight: 10, Endpoints: hosts(ok, bad)},
		cluster.Locality{Weight: 7, Endpoints: hosts(ok)},
	)
	r.apply(&next)
	if got := picks(t, c, 200); got["192.0.2.1:80"] != 100 {
		t.Errorf("effective weights 7 and 7: %v", got)
	}
}

func TestRingHashAcrossLocalities(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.LB.Policy = policy(t, "maglev", lb.Maglev{Locality: lb.Locality{Weighted: true}, TableSize: 65537})
	cfg.Assignment = localities(
		cluster.Locality{Weight: 3, Endpoints: hosts(ok, ok, ok)},
		cluster.Locality{Weight: 1, Endpoints: hosts(ok)},
	)
	r.apply(cfg)
	c := r.get("a")
	for h, n := range picks(t, c, 40000) {
		if n < 9500 || n > 10500 {
			t.Errorf("%s got %d of 40000, want about 10000", h, n)
		}
	}
	a, _ := c.Pick(&PickInfo{Hash: 12345, HasHash: true})
	for i := range 10 {
		if b, _ := c.Pick(&PickInfo{Hash: 12345, HasHash: true, Rand: uint64(i)}); a != b {
			t.Fatal("one hash found two hosts")
		}
	}
}

func TestTriedHostsAreAvoided(t *testing.T) {
	r := newRig(t, Options{})
	r.apply(static("a", addrs(2)...))
	c := r.get("a")
	first, _ := c.Pick(&PickInfo{Rand: 1})
	for range 10 {
		if h, _ := c.Pick(&PickInfo{Rand: 1, Tried: []*Host{first}, HostAttempts: 3}); h == first {
			t.Error("the tried host came again")
		}
	}
	both := []*Host{first}
	other, _ := c.Pick(&PickInfo{Rand: 1, Tried: both, HostAttempts: 3})
	both = append(both, other)
	if _, err := c.Pick(&PickInfo{Rand: 1, Tried: both, HostAttempts: 3}); err != nil {
		t.Errorf("when all were tried one is used all the same: %v", err)
	}
}

func TestDropOverload(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a", addrs(1)...)
	cfg.Assignment.DropPercent = 25
	r.apply(cfg)
	got := picks(t, r.get("a"), 10000)
	if n := got["drop_overload"]; n < 2300 || n > 2700 {
		t.Errorf("dropped %d of 10000, want about 2500", n)
	}
}

func TestOriginalDestination(t *testing.T) {
	r := newRig(t, Options{})
	cfg := static("a")
	cfg.Type, cfg.Assignment = cluster.OriginalDestination, nil
	cfg.LB.Policy = policy(t, "cluster_provided", nil)
	moved := *cfg
	moved.Name, moved.Original.PortOverride = "b", 8080
	r.apply(cfg, &moved)
	c := r.get("a")
	to := netip.MustParseAddrPort("[::ffff:192.0.2.7]:443")
	p := &PickInfo{Dest: to}
	h, err := c.Pick(p)
	if err != nil || h.String() != "192.0.2.7:443" {
		t.Fatalf("got %v, %v", h, err)
	}
	if again, _ := c.Pick(p); again != h {
		t.Error("the same destination gave another host")
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = c.Pick(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if h, _ := r.get("b").Pick(p); h.String() != "192.0.2.7:8080" {
		t.Errorf("port override gave %s", h)
	}
	if _, err := c.Pick(&PickInfo{}); err == nil || err.Flag != info.NoHealthyUpstream || c.Stats().OriginalDstInvalid.Value() != 1 {
		t.Errorf("no destination: %v", err)
	}
}

func TestPickAllocatesNothing(t *testing.T) {
	r := newRig(t, Options{})
	for _, name := range []string{"round_robin", "least_request", "random", "ring_hash", "maglev"} {
		cfg := static(name, addrs(10)...)
		cfg.LB.Policy = policy(t, name, nil)
		cfg.Breaker = &cluster.Breaker{Consecutive: 5}
		r.apply(cfg)
		c := r.get(name)
		first, _ := c.Pick(&PickInfo{})
		p := &PickInfo{Rand: 1, Tried: []*Host{first}, HostAttempts: 2}
		if n := testing.AllocsPerRun(100, func() {
			p.Rand += 0x9e3779b97f4a7c15
			if _, err := c.Pick(p); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
