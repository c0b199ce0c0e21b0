package stats

import (
	"fmt"
	"io"
	"runtime"
	"testing"
)

type ten struct {
	A *Counter `stat:"upstream_cx_total"`
	B *Counter `stat:"upstream_cx_destroy"`
	C *Counter `stat:"upstream_rq_total"`
	D *Counter `stat:"upstream_rq_retry"`
	E *Counter `stat:"upstream_rq_timeout"`
	F *Counter `stat:"upstream_rq_cancelled"`
	G *Counter `stat:"upstream_rq_per_try_timeout"`
	H *Counter `stat:"upstream_rq_rx_reset"`
	I *Counter `stat:"upstream_rq_tx_reset"`
	J *Gauge   `stat:"upstream_rq_active"`
}

// sixty is as many statistics as a cluster has.
type sixty struct {
	A ten
	B ten `stat:"b"`
	C ten `stat:"c"`
	D ten `stat:"d"`
	E ten `stat:"e"`
	F ten `stat:"f"`
}

// large is a store with that many clusters of sixty statistics.
func large(clusters int) *Store {
	s := NewStore()
	top := s.Scope("cluster")
	for i := range clusters {
		Fill[sixty](top.Scope(fmt.Sprintf("outbound|80||service-%d.default.svc", i))).A.C.Inc()
	}
	return s
}

func TestMemoryOfAClusterIsSmall(t *testing.T) {
	const clusters, limit = 2000, 2000 // bytes: 60 pointers and 60 numbers are 960, the rest is the scope
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s := large(clusters)
	each := int(heap()-before) / clusters
	runtime.KeepAlive(s)
	t.Logf("%d bytes a cluster", each)
	if each > limit {
		t.Errorf("%d bytes a cluster, want at most %d", each, limit)
	}
}

func BenchmarkCounter(b *testing.B) {
	c := NewStore().Scope("x").Counter("y")
	for b.Loop() {
		c.Inc()
	}
}

// BenchmarkClusterCounters is what the note on padding in the package comment
// is about: all Ps add to four neighbouring counters of one cluster.
func BenchmarkClusterCounters(b *testing.B) {
	st := Fill[ten](NewStore().Scope("x"))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			st.A.Inc()
			st.B.Inc()
			st.C.Inc()
			st.J.Inc()
		}
	})
}

// BenchmarkClusterCountersPadded is the same with a cache line for each.
func BenchmarkClusterCountersPadded(b *testing.B) {
	var st [3]struct {
		Counter
		_ [56]byte
	}
	var g struct {
		Gauge
		_ [56]byte
	}
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			st[0].Inc()
			st[1].Inc()
			st[2].Inc()
			g.Inc()
		}
	})
}

func BenchmarkHistogram(b *testing.B) {
	h := NewStore().Scope("x").Histogram("y")
	var v uint64
	for b.Loop() {
		v += 17
		h.Record(v & 0xffff)
	}
}

func BenchmarkCodes(b *testing.B) {
	c := NewCodes(NewStore().Scope("x"), "upstream_rq")
	for b.Loop() {
		c.Count(200)
	}
}

func BenchmarkFill10kClusters(b *testing.B) {
	for b.Loop() {
		large(10_000)
	}
}

func BenchmarkWrite10kClusters(b *testing.B) {
	s := large(10_000)
	for _, f := range []struct {
		name  string
		write func(io.Writer, Filter) error
		Filter
	}{
		{"text", s.WriteText, Filter{}},
		{"prometheus", s.WritePrometheus, Filter{}},
		{"prometheus-usedonly", s.WritePrometheus, Filter{UsedOnly: true}},
	} {
		b.Run(f.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.write(io.Discard, f.Filter); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
