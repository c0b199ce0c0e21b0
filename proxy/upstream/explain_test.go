package upstream

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// TestExplainAgreesWithPick asks before every choice: it must be among those named, and where one is named it is that one.
func TestExplainAgreesWithPick(t *testing.T) {
	for name, cfg := range map[string]any{
		"round_robin": lb.RoundRobin{}, "random": lb.Random{}, "maglev": lb.Maglev{TableSize: 101},
	} {
		r := newRig(t, Options{})
		c := static("a")
		c.LB.Policy = policy(t, name, cfg)
		c.Assignment = localities(
			cluster.Locality{Priority: 0, Weight: 1, Endpoints: hosts(cluster.Healthy, cluster.Unhealthy, cluster.Unhealthy)},
			cluster.Locality{Priority: 1, Weight: 1, Endpoints: hosts(cluster.Healthy, cluster.Degraded)},
		)
		r.apply(c)
		cl, sure := r.get("a"), 0
		for i := range uint64(200) {
			p := PickInfo{Rand: i*0x9e3779b97f4a7c15 + 1, Hash: i * 0x2545f4914f6cdd1d, HasHash: true}
			var tr match.Trace
			host, among, err := cl.Explain(&p, &tr)
			if err != nil {
				t.Fatal(name, err)
			}
			h, perr := cl.Pick(&p)
			if perr != nil || !slices.Contains(among, h.String()) || host != "" && host != h.String() {
				t.Fatalf("%s: picked %v, %v; explain: %q of %v\n%v", name, h, perr, host, among, tr.Steps)
			}
			if host != "" {
				sure++
			}
		}
		if hashes := name == "maglev"; hashes != (sure == 200) {
			t.Errorf("%s: %d of 200 choices are told", name, sure)
		}
	}
}

func TestExplainTellsWhoIsOut(t *testing.T) {
	r := newRig(t, Options{})
	c := static("a")
	c.Assignment = localities(cluster.Locality{Weight: 1, Endpoints: hosts(cluster.Healthy, cluster.Healthy, cluster.Healthy, cluster.Unhealthy)})
	r.apply(c)
	var tr match.Trace
	_, among, err := r.get("a").Explain(&PickInfo{}, &tr)
	if err != nil || len(among) != 3 {
		t.Fatal(among, err)
	}
	if s := fmt.Sprint(tr.Steps); !strings.Contains(s, "{host 192.0.2.4:80 false failed_eds_health}") {
		t.Error(s)
	}
	empty := static("b")
	empty.Assignment = &cluster.Assignment{Overprovisioning: 140}
	r.apply(empty)
	if _, _, err := r.get("b").Explain(&PickInfo{}, &tr); err != ErrNoHealthy {
		t.Error(err)
	}
}
