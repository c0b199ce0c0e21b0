package upstream

import (
	"fmt"
	"strings"
	"time"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// Explain tells among which hosts Pick chooses for p, and of every other host why it
// is not one of them. host is the choice itself where it is already made: there is
// one host only, or the request's hash decides. Nothing moves: no rotation goes on,
// nothing is counted. Pick's own functions are asked.
func (c *Cluster) Explain(p *PickInfo, tr *match.Trace) (host string, among []string, err *Error) {
	if c.original != nil {
		if !p.Dest.IsValid() || p.Dest.Addr().IsUnspecified() {
			tr.Note(false, "host", "the cluster's host is the original destination, and there is none, or it is a listener of our own")
			return "", nil, ErrNoDestination
		}
		to := c.originalOf(p.Dest)
		tr.Note(true, "host "+to.String(), "the original destination")
		return to.String(), []string{to.String()}, nil
	}
	s := c.set.Load()
	if s.dropped > 0 {
		tr.Note(s.dropped < 100, "drop_overload", "%g %% of requests are dropped", s.dropped)
		if s.dropped >= 100 {
			return "", nil, ErrDroppedAll
		}
	}
	for i := range s.levels {
		l := &s.levels[i]
		state := ""
		if l.panicking {
			state = "; in panic: all of its hosts are used, whatever their health"
		}
		tr.Note(l.healthy+l.degraded > 0, fmt.Sprintf("priority %d", i), "takes %d %% of requests (%d %% on healthy hosts, %d %% on degraded ones)%s",
			l.healthy+l.degraded, l.healthy, l.degraded, state)
	}
	groups := s.groups()
	if p.HasHash && s.hashes {
		if _, g := s.choose(p.Hash); g != nil {
			groups = []*group{g}
		}
	}
	now := time.Now()
	for _, h := range s.hosts {
		why := h.unfit(now)
		used := memberOf(groups, h)
		switch {
		case used && why != "":
			tr.Note(true, "host "+h.String(), "used though %s", why)
		case used:
			tr.Note(true, "host "+h.String(), "healthy, weight %d", h.spec.Load().weight)
		case why != "":
			tr.Note(false, "host "+h.String(), "%s", why)
		default:
			tr.Note(false, "host "+h.String(), "its priority, or its locality, takes no requests now")
		}
	}
	for _, g := range groups {
		for _, h := range g.each(nil) {
			among = append(among, h.String())
		}
	}
	switch {
	case len(among) == 0:
		return "", nil, c.noHealthy()
	case len(among) == 1:
		return among[0], among, nil
	case p.HasHash && s.hashes && len(groups) == 1 && groups[0].policy != nil:
		h := c.fromGroup(groups[0], lbPick(p.Hash), p)
		if h == nil {
			return "", among, ErrBreakerOpen
		}
		tr.Note(true, "host "+h.String(), "the request's hash is %016x", p.Hash)
		return h.String(), among, nil
	}
	return "", among, nil
}

// groups are those that a request may come to.
func (s *set) groups() (out []*group) {
	for i := range s.levels {
		l := &s.levels[i]
		for _, x := range [...]struct {
			load uint32
			g    *group
		}{{l.healthy, l.ok}, {l.degraded, l.deg}} {
			g := x.g
			if l.panicking {
				g = l.all
			}
			if x.load > 0 && g != nil && g.policy != nil {
				out = append(out, g)
				if l.panicking {
					break
				}
			}
		}
	}
	return out
}

// each gives the hosts of a group, those of its localities included.
func (g *group) each(out []*Host) []*Host {
	if g.parts == nil {
		return append(out, g.hosts...)
	}
	for _, p := range g.parts {
		out = p.each(out)
	}
	return out
}

func memberOf(groups []*group, h *Host) bool {
	for _, g := range groups {
		for _, m := range g.each(nil) {
			if m == h {
				return true
			}
		}
	}
	return false
}

// unfit is why a host is not used, or is the second choice; "" when it is fit.
func (h *Host) unfit(now time.Time) string {
	var why []string
	i := h.info()
	if f := i.HealthFlags(); f != "healthy" {
		why = append(why, strings.ReplaceAll(strings.TrimPrefix(f, "/"), "/", ", "))
	}
	if b := h.breaker.Load(); b != nil && i.Breaker != breaker.Closed {
		word := "half-open, its probes are under way"
		if b.Ready(now) {
			word = "half-open, a probe may go"
		} else if i.Breaker == breaker.Open {
			word = "open"
		}
		why = append(why, "its breaker is "+word)
	}
	return strings.Join(why, "; ")
}
