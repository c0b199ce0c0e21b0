// Package stats is the store of counters, gauges and histograms: named once
// when configuration is applied, changed with one atomic add while traffic
// flows, and read only when somebody asks.
//
// Names are Envoy's (`cluster.a.upstream_rq_total`), so that existing
// dashboards and alerts work. A component declares its numbers as a struct and
// has it filled by [Fill]; the struct's fields are then the hot path.
//
// # Why counters are not padded
//
// A [Counter] is eight bytes and the counters of one struct lie side by side.
// Padding each to its own cache line was considered and rejected: 10,000
// clusters with 60 counters are 4.8 MB packed and 38 MB padded, and padding
// does not help the case that matters. One request adds to several counters of
// the same cluster one after the other; packed, two cores that serve the same
// cluster pass two or three lines to and fro, padded they would pass one line
// per counter (BenchmarkClusterCounters on two cores: 33 ns packed, 40 ns
// padded, for four adds). Only counters of unrelated components must not share a line,
// and those are in separate allocations.
//
// # Intervals
//
// Envoy prints each quantile twice, over the last flush interval and over the
// life of the process. [Store.Flush] ends an interval: it notes what every used
// histogram holds, in ten bytes a bin that is not empty, beside the data path.
package stats

import (
	"sync/atomic"

	"github.com/cespare/xxhash/v2"
)

// usedBit marks a counter that was reset after having counted, so that
// `usedonly` goes on to show it. It leaves 63 bits to count with.
const usedBit = 1 << 63

// Counter is a number that only grows. The zero value is ready; a Counter must
// not be copied after first use.
type Counter struct{ n atomic.Uint64 }

// Inc adds one.
func (c *Counter) Inc() { c.n.Add(1) }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value returns the count since start or since the last reset.
func (c *Counter) Value() uint64 { return c.n.Load() &^ usedBit }

// Used reports whether the counter was ever incremented; a reset keeps it.
func (c *Counter) Used() bool { return c.n.Load() != 0 }

// reset sets the count to zero. Additions made meanwhile are either dropped
// with the old count or kept in the new one, never both.
func (c *Counter) reset() {
	if c.n.Load() != 0 {
		c.n.Store(usedBit)
	}
}

// Gauge is a number that rises and falls, such as active connections. The zero
// value is ready; a Gauge must not be copied after first use. It holds 63 bits:
// the lowest one records that the gauge was ever written.
type Gauge struct{ x atomic.Int64 }

// Set makes v the value.
func (g *Gauge) Set(v int64) { g.x.Store(v<<1 | 1) }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) {
	if g.x.Add(n<<1)&1 == 0 {
		g.x.Or(1)
	}
}

// Inc adds one.
func (g *Gauge) Inc() { g.Add(1) }

// Dec subtracts one.
func (g *Gauge) Dec() { g.Add(-1) }

// Value returns the current value.
func (g *Gauge) Value() int64 { return g.x.Load() >> 1 }

// Used reports whether the gauge was ever written, even if it is zero now.
func (g *Gauge) Used() bool { return g.x.Load() != 0 }

// Hash is what a gauge says of a version, which is a text: xxHash64, as in Envoy, without its two highest bits; 0 of "".
func Hash(version string) int64 {
	if version == "" {
		return 0
	}
	return int64(xxhash.Sum64String(version) & (1<<62 - 1))
}

// Text is a statistic that is words, such as a version (Envoy: text readout).
// The zero value is ready and says nothing.
type Text struct{ s atomic.Pointer[string] }

// Set makes v the text.
func (t *Text) Set(v string) {
	if now := t.s.Load(); now == nil || *now != v {
		t.s.Store(&v)
	}
}

// Value returns the text.
func (t *Text) Value() string {
	if s := t.s.Load(); s != nil {
		return *s
	}
	return ""
}

// Used reports whether the text was ever set.
func (t *Text) Used() bool { return t.s.Load() != nil }

// Kind tells the kinds of statistic apart.
type Kind uint8

// The kinds, in the order in which Envoy's Prometheus page lists them.
const (
	KindCounter Kind = iota
	KindGauge
	KindHistogram
	KindText
)

// word tells kinds apart that String does not.
func (k Kind) word() string {
	if k == KindText {
		return "text"
	}
	return k.String()
}

// String returns the kind as Prometheus' TYPE line spells it.
func (k Kind) String() string {
	switch k {
	case KindCounter:
		return "counter"
	case KindGauge, KindText: // a text is a gauge with a label to Prometheus
		return "gauge"
	default:
		return "histogram"
	}
}
