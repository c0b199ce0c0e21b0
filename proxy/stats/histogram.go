package stats

import (
	"math/bits"
	"sync/atomic"
)

// Histogram counts values in log-linear bins: every integer up to 100 has a
// bin of its own, and each decade above, (10^k, 10^(k+1)], has 90 bins of equal
// width. So a value is kept to two significant digits, as in Envoy's
// circllhist, and every bound of [DefaultBuckets] is the upper edge of a bin:
// the `le` counts are exact, not interpolated.
//
// Values are integers in the unit of the statistic's name: milliseconds for
// Envoy's `*_time` and `*_ms`. The zero value is ready and takes 24 bytes; the
// bins of a decade are allocated when a value first falls into it, after which
// Record allocates nothing. A Histogram must not be copied after first use.
type Histogram struct {
	sum  atomic.Uint64
	bins atomic.Pointer[bins]
	cuts atomic.Pointer[cuts] // of its life into intervals; nil before the first
}

const (
	exactMax  = 100 // the largest value with a bin of its own
	perDecade = 90
	decades   = 18 // (10^2, 10^3] to (10^19, 2^64)
)

type decade [perDecade]atomic.Uint64

type bins struct {
	exact [exactMax + 1]atomic.Uint64
	above [decades]atomic.Pointer[decade]
}

// Record counts v: two atomic adds, no lock.
func (h *Histogram) Record(v uint64) {
	b := h.bins.Load()
	if b == nil {
		b = new(bins)
		if !h.bins.CompareAndSwap(nil, b) {
			b = h.bins.Load()
		}
	}
	h.sum.Add(v)
	if v <= exactMax {
		b.exact[v].Add(1)
		return
	}
	k, i := binOf(v)
	d := b.above[k].Load()
	if d == nil {
		d = new(decade)
		if !b.above[k].CompareAndSwap(nil, d) {
			d = b.above[k].Load()
		}
	}
	d[i].Add(1)
}

// Used reports whether a value was ever recorded.
func (h *Histogram) Used() bool { return h.bins.Load() != nil }

// binOf returns decade and bin of a value above exactMax. Bins include their
// upper edge, hence v-1.
func binOf(v uint64) (k, i int) {
	u := v - 1
	p := bits.Len64(u) * 1233 >> 12 // log10(2) = 1233/4096, one too many at most
	if u < pow10(p) {
		p--
	}
	return p - 2, int(u/pow10(p-1)) - 10
}

// pow10 returns 10^p for p in 0..19.
func pow10(p int) uint64 { return powers[p] }

var powers = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9,
	1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// Bin is a range of values (Low, High] and how many were recorded in it; for a
// bin of one integer both ends are that integer.
type Bin struct {
	Low, High float64
	Count     uint64
}

// Summary is a histogram as it was read: its non-empty bins in rising order.
// While values are recorded, Sum may be a few values ahead of Count.
type Summary struct {
	Count, Sum uint64
	Bins       []Bin
}

// Summary reads the histogram.
func (h *Histogram) Summary() Summary {
	s := Summary{Sum: h.sum.Load()}
	h.each(func(bin int, n uint64) { s.add(bin, n) })
	return s
}

// each visits the bins that are not empty, in rising order.
func (h *Histogram) each(visit func(bin int, n uint64)) {
	b := h.bins.Load()
	if b == nil {
		return
	}
	for v := range b.exact {
		if n := b.exact[v].Load(); n > 0 {
			visit(v, n)
		}
	}
	for k := range b.above {
		d := b.above[k].Load()
		if d == nil {
			continue
		}
		for i := range d {
			if n := d[i].Load(); n > 0 {
				visit(exactMax+1+k*perDecade+i, n)
			}
		}
	}
}

// add counts n values of a bin, in rising order of bins.
func (s *Summary) add(bin int, n uint64) {
	low, high := edges(bin)
	s.Count += n
	s.Bins = append(s.Bins, Bin{low, high, n})
}

// edges are the bounds of a bin.
func edges(bin int) (low, high float64) {
	if bin <= exactMax {
		return float64(bin), float64(bin)
	}
	k, i := (bin-exactMax-1)/perDecade, (bin-exactMax-1)%perDecade
	base, width := float64(pow10(k+2)), float64(pow10(k+1))
	low = base + float64(i)*width
	return low, low + width
}

// Quantile returns the value below which the share q (0 to 1) of the recorded
// values lies, interpolated within its bin; 0 when nothing was recorded.
func (s Summary) Quantile(q float64) float64 {
	if len(s.Bins) == 0 {
		return 0
	}
	if q <= 0 {
		return s.Bins[0].Low
	}
	target, before := q*float64(s.Count), 0.0
	for _, b := range s.Bins {
		n := float64(b.Count)
		if before+n >= target {
			return b.Low + (b.High-b.Low)*(target-before)/n
		}
		before += n
	}
	return s.Bins[len(s.Bins)-1].High
}

// AtMost returns how many recorded values are ≤ bound. It is exact where bound
// is the edge of a bin, and otherwise leaves out the bin that straddles it.
func (s Summary) AtMost(bound float64) uint64 {
	var n uint64
	for _, b := range s.Bins {
		if b.High > bound {
			break
		}
		n += b.Count
	}
	return n
}

// merge adds the values of o.
func (s *Summary) merge(o Summary) {
	out := make([]Bin, 0, len(s.Bins)+len(o.Bins))
	a, b := s.Bins, o.Bins
	for len(a) > 0 || len(b) > 0 {
		switch {
		case len(b) == 0 || len(a) > 0 && a[0].High < b[0].High:
			out, a = append(out, a[0]), a[1:]
		case len(a) == 0 || b[0].High < a[0].High:
			out, b = append(out, b[0]), b[1:]
		default:
			out = append(out, Bin{a[0].Low, a[0].High, a[0].Count + b[0].Count})
			a, b = a[1:], b[1:]
		}
	}
	s.Count, s.Sum, s.Bins = s.Count+o.Count, s.Sum+o.Sum, out
}
