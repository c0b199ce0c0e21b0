package upstream

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// of makes a level of 100 hosts.
func of(healthy, degraded int) health { return health{100, healthy, degraded} }

// TestPriorities holds the tables of Envoy's documentation ("Priority levels",
// "Degraded endpoints" and "Panic threshold").
func TestPriorities(t *testing.T) {
	for _, tc := range []struct {
		name   string
		levels []health
		want   string // healthy/degraded percent per level, ! in panic
	}{
		{"all healthy", []health{of(100, 0), of(100, 0)}, "100/0 0/0"},
		{"72%", []health{of(72, 0), of(100, 0)}, "100/0 0/0"},
		{"71%", []health{of(71, 0), of(100, 0)}, "99/0 1/0"},
		{"50%", []health{of(50, 0), of(100, 0)}, "70/0 30/0"},
		{"25%", []health{of(25, 0), of(100, 0)}, "35/0 65/0"},
		{"0%", []health{of(0, 0), of(100, 0)}, "0/0 100/0"},
		{"three levels", []health{of(20, 0), of(20, 0), of(100, 0)}, "28/0 28/0 44/0"},

		// Less than 100 % together: normalised, and panic looks at each level.
		{"25% 25%", []health{of(25, 0), of(25, 0)}, "50/0! 50/0!"},
		{"5% 65%", []health{of(5, 0), of(65, 0)}, "8/0! 92/0"},
		{"50% 10%", []health{of(50, 0), of(10, 0)}, "84/0 16/0!"},
		{"all in panic goes by size", []health{{30, 0, 0}, {70, 7, 0}}, "30/0! 70/0!"},
		{"nothing healthy", []health{of(0, 0), of(0, 0)}, "50/0! 50/0!"},
		{"no hosts", []health{{}, {}}, "100/0! 0/0!"},
		{"one empty level", []health{{}, of(100, 0)}, "0/0 100/0"},
		{"no level", nil, ""},

		// Degraded hosts are used for what healthy ones cannot take.
		{"degraded in one level", []health{of(50, 50)}, "70/30"},
		{"degraded only", []health{of(0, 100)}, "0/100"},
		{"healthy of all levels first", []health{of(0, 100), of(25, 0)}, "0/65 35/0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, text(distribute(tc.levels, 140, 50))); diff != "" {
				t.Error(diff)
			}
		})
	}
	if got := text(distribute([]health{of(0, 0), of(0, 0)}, 140, 0)); got != "100/0 0/0" {
		t.Errorf("threshold 0: %s, want no panic ever", got)
	}
	if got := text(distribute([]health{of(20, 0), of(100, 0)}, 100, 50)); got != "20/0 80/0" {
		t.Errorf("overprovisioning 1: %s", got)
	}
}

func text(s []share) string {
	out := ""
	for i, x := range s {
		if i > 0 {
			out += " "
		}
		out += fmt.Sprintf("%d/%d", x.healthy, x.degraded)
		if x.panicking {
			out += "!"
		}
	}
	return out
}

// Whatever the hosts, the load is handed out whole.
func FuzzDistribute(f *testing.F) {
	f.Add(uint8(3), uint8(1), uint8(1), uint8(5), uint8(0), uint8(2))
	f.Fuzz(func(t *testing.T, n0, h0, d0, n1, h1, d1 uint8) {
		cut := func(n, h, d uint8) health {
			hh := min(int(h), int(n))
			return health{int(n), hh, min(int(d), int(n)-hh)}
		}
		s := distribute([]health{cut(n0, h0, d0), cut(n1, h1, d1)}, 140, 50)
		if sum := s[0].healthy + s[0].degraded + s[1].healthy + s[1].degraded; sum != 100 {
			t.Errorf("load adds up to %d: %s", sum, text(s))
		}
	})
}
