package stats

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestHistogramBins(t *testing.T) {
	f := func(v uint64, low, high float64) {
		t.Helper()
		var h Histogram
		h.Record(v)
		s := h.Summary()
		want := Bin{low, high, 1}
		if s.Count != 1 || s.Sum != v || len(s.Bins) != 1 || s.Bins[0] != want {
			t.Errorf("%d: got %+v, want bin %v", v, s, want)
		}
	}
	f(0, 0, 0)
	f(1, 1, 1)
	f(99, 99, 99)
	f(100, 100, 100)
	f(101, 100, 110)
	f(110, 100, 110)
	f(111, 110, 120)
	f(999, 990, 1000)
	f(1000, 990, 1000)
	f(1001, 1000, 1100)
	f(3600000, 3500000, 3600000)
	f(3600001, 3600000, 3700000)
	f(1e19, 9.9e18, 1e19)
	f(math.MaxUint64, 1.8e19, 1.9e19)
	for p := uint64(1000); p < 1e19; p *= 10 {
		f(p, float64(p-p/100), float64(p))
		f(p+1, float64(p), float64(p+p/10))
	}
}

func TestHistogramMatchesSortedValues(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var values []uint64
	for range 5000 {
		v := uint64(math.Exp(rnd.Float64() * 16))
		values = append(values, v)
		h.Record(v)
	}
	slices.Sort(values)
	s := h.Summary()
	for _, le := range DefaultBuckets() {
		n, _ := slices.BinarySearch(values, uint64(le)+1)
		if got := s.AtMost(le); got != uint64(n) {
			t.Errorf("at most %v: got %d, want %d", le, got, n)
		}
	}
	for _, q := range []float64{0.25, 0.5, 0.9, 0.99, 0.999, 1} {
		want := float64(values[int(math.Ceil(q*5000))-1])
		if got := s.Quantile(q); math.Abs(got-want) > want*0.1 {
			t.Errorf("quantile %v: got %v, want %v within 10 %%", q, got, want)
		}
	}
}

func TestSummaryQuantile(t *testing.T) {
	f := func(values []uint64, q, want float64) {
		t.Helper()
		var h Histogram
		for _, v := range values {
			h.Record(v)
		}
		if got := h.Summary().Quantile(q); got != want {
			t.Errorf("%v, q=%v: got %v, want %v", values, q, got, want)
		}
	}
	f(nil, 0.5, 0)
	f([]uint64{41}, 0, 41)
	f([]uint64{41}, 0.5, 41)
	f([]uint64{41}, 1, 41)
	f([]uint64{1, 2, 3, 4}, 0.5, 2)
	f([]uint64{1, 2, 3, 4}, 0.75, 3)
	f([]uint64{250}, 0, 240)
	f([]uint64{250}, 0.5, 245)
	f([]uint64{250}, 1, 250)
}

func TestSummaryMerge(t *testing.T) {
	var a, b, both Histogram
	for v := range uint64(3000) {
		if v%3 == 0 {
			a.Record(v)
		} else {
			b.Record(v * 5)
		}
	}
	for v := range uint64(3000) {
		if v%3 == 0 {
			both.Record(v)
		} else {
			both.Record(v * 5)
		}
	}
	got, want := a.Summary(), both.Summary()
	got.merge(b.Summary())
	if got.Count != want.Count || got.Sum != want.Sum || !slices.Equal(got.Bins, want.Bins) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzHistogramBin(f *testing.F) {
	for _, v := range []uint64{0, 100, 101, 1000, 1001, 999999, math.MaxUint64} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v uint64) {
		var h Histogram
		h.Record(v)
		b := h.Summary().Bins[0]
		if x := float64(v); x > b.High || x < b.Low || (v > exactMax && b.High-b.Low > x*0.11) {
			t.Errorf("%d is in bin %v", v, b)
		}
	})
}
