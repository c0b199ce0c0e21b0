package lb

import (
	"math"

	"github.com/weirproxy/weir/config/runtime"
)

// LeastRequest is the configuration of
// envoy.load_balancing_policies.least_request.
type LeastRequest struct {
	Locality
	Choices  uint32       // choice_count, default 2
	Bias     float64      // active_request_bias, default 1
	FullScan bool         // selection_method FULL_SCAN
	BiasKey  *runtime.Key // of Bias, which is looked at whenever the members change
}

// NewLeastRequest makes a policy that prefers members with few requests in
// flight: of equal members the idlest of a few drawn at random, of members with
// weights a schedule in which weight counts as weight / (active + 1)^bias
// (Envoy: LeastRequestLoadBalancer).
func NewLeastRequest(cfg LeastRequest, members []Member, seed uint64) Policy {
	if !equal(members) && !cfg.FullScan {
		bias := max(cfg.BiasKey.Float(cfg.Bias), 0)
		return weighted{newEDF(len(members), func(i int) float64 {
			return discounted(members[i], bias)
		}, seed)}
	}
	active := make([]load, len(members))
	for i, m := range members {
		active[i] = load{m.Active}
	}
	return idlest(cfg, active)
}

func idlest(cfg LeastRequest, active []load) Policy {
	if cfg.FullScan {
		return scan{active}
	}
	return &leastRequest{active: active, choices: max(cfg.Choices, 2)}
}

func discounted(m Member, bias float64) float64 {
	a := float64(load{m.Active}.value())
	switch {
	case bias == 0 || a <= 0:
		return m.Weight
	case bias == 1:
		return m.Weight / (a + 1)
	}
	return m.Weight / math.Pow(a+1, bias)
}

// leastRequest is the power of few choices.
type leastRequest struct {
	active  []load
	choices uint32
}

// Pick implements Policy. The second and further candidates are drawn from the
// members other than the first: comparing a member with itself decides nothing.
func (l *leastRequest) Pick(p Pick) int {
	n := uint64(len(l.active))
	r := mix(p.Rand + uint64(p.Attempt)*golden)
	first := int(r % n)
	if n == 1 {
		return 0
	}
	best, least := first, l.active[first].value()
	for c := uint32(1); c < l.choices; c++ {
		r = mix(r + golden)
		i := (first + 1 + int(r%(n-1))) % int(n)
		if a := l.active[i].value(); a < least {
			best, least = i, a
		}
	}
	return best
}

// scan looks at every member; ties are broken by the draw.
type scan struct{ active []load }

// Pick implements Policy.
func (s scan) Pick(p Pick) int {
	n := len(s.active)
	start := int(mix(p.Rand+uint64(p.Attempt)*golden) % uint64(n))
	best, least := start, s.active[start].value()
	for k := 1; k < n && least > 0; k++ {
		i := (start + k) % n
		if a := s.active[i].value(); a < least {
			best, least = i, a
		}
	}
	return best
}
