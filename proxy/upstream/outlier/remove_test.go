package outlier

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// TestHostsComeAndGo: the Detector has the hosts that were added and not removed, in whatever order they come and go.
func TestHostsComeAndGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Unix(0, 0)
	d := &Detector{}
	d.Step(now, Event{Kind: Configure, Config: &cluster.Outlier{BaseEjection: time.Second, MaxEjectionPercent: 100, EnforcingConsecutive5xx: 100}})
	all, in := make([]Monitor, 20), map[*Monitor]bool{}
	for range 2000 {
		m := &all[r.IntN(len(all))]
		switch r.IntN(3) {
		case 0:
			d.Step(now, Event{Kind: Add, Host: m})
			in[m] = true
		case 1:
			d.Step(now, Event{Kind: Remove, Host: m})
			delete(in, m)
		default:
			d.Step(now, Event{Kind: Tripped, Host: m, Cause: Server})
		}
		if len(d.hosts) != len(in) {
			t.Fatalf("%d hosts, want %d", len(d.hosts), len(in))
		}
		ejected := 0
		for i, h := range d.hosts {
			if !in[h] || h.at != i {
				t.Fatalf("a host that is not there, or in another place")
			}
			if h.ejected {
				ejected++
			}
		}
		if d.Active() != ejected {
			t.Fatalf("%d ejected hosts, want %d", d.Active(), ejected)
		}
	}
}
