package stats

import "slices"

// cuts is where a histogram's life was cut last: what it held then, and what had
// come since the cut before. (Envoy: the merge of a flush.)
type cuts struct{ total, interval packed }

// packed is a histogram in little memory.
type packed struct {
	sum    uint64
	bins   []uint16
	counts []uint64
}

// cut ends an interval: what was recorded since the last cut becomes the interval
// that Interval shows. Cuts of one histogram must not overlap.
func (h *Histogram) cut() {
	old := h.cuts.Load()
	if old == nil {
		if !h.Used() {
			return
		}
		old = new(cuts)
	}
	now := packed{sum: h.sum.Load()}
	h.each(func(bin int, n uint64) {
		now.bins, now.counts = append(now.bins, uint16(bin)), append(now.counts, n)
	})
	if slices.Equal(now.counts, old.total.counts) { // a bin never empties, so that new ones would show
		if len(old.interval.bins) > 0 {
			h.cuts.Store(&cuts{total: old.total})
		}
		return
	}
	h.cuts.Store(&cuts{total: now, interval: now.since(old.total)})
}

// since is what p has and the earlier q has not.
func (p packed) since(q packed) packed {
	out := packed{sum: p.sum - q.sum}
	for i, j := 0, 0; i < len(p.bins); i++ {
		n := p.counts[i]
		if j < len(q.bins) && q.bins[j] == p.bins[i] {
			n -= q.counts[j]
			j++
		}
		if n > 0 {
			out.bins, out.counts = append(out.bins, p.bins[i]), append(out.counts, n)
		}
	}
	return out
}

// Interval is what was recorded between the last two calls of [Store.Flush].
func (h *Histogram) Interval() Summary {
	c := h.cuts.Load()
	if c == nil {
		return Summary{}
	}
	s := Summary{Sum: c.interval.sum}
	for i, bin := range c.interval.bins {
		s.add(int(bin), c.interval.counts[i])
	}
	return s
}

// Flush ends an interval of all histograms (Envoy: every stats_flush_interval, or
// with stats_flush_on_admin when somebody looks).
func (s *Store) Flush() {
	s.flushing.Lock()
	defer s.flushing.Unlock()
	s.used = s.used[:0]
	s.mu.Lock()
	s.root.eachHistogram(func(h *Histogram) {
		if h.Used() {
			s.used = append(s.used, h)
		}
	})
	s.mu.Unlock()
	for _, h := range s.used {
		h.cut()
	}
	clear(s.used)
}

func (n *node) eachHistogram(visit func(*Histogram)) {
	for i := range n.blocks {
		for j := range n.blocks[i].histograms {
			visit(&n.blocks[i].histograms[j])
		}
	}
	for i := range n.single {
		if h, ok := n.single[i].stat.(*Histogram); ok {
			visit(h)
		}
	}
	for _, c := range n.children {
		c.eachHistogram(visit)
	}
}
