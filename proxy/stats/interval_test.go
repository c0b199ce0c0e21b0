package stats

import (
	"fmt"
	"strings"
	"testing"
)

func TestIntervals(t *testing.T) {
	s := NewStore()
	h := s.Scope("cluster.a").Histogram("t")
	step := func(want string, values ...uint64) {
		t.Helper()
		for _, v := range values {
			h.Record(v)
		}
		s.Flush()
		var got []string
		for _, b := range h.Interval().Bins {
			got = append(got, fmt.Sprintf("%v:%d", b.High, b.Count))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %q, want %q", strings.Join(got, " "), want)
		}
	}
	step("")
	step("0:1 5:2", 5, 0, 5)
	step("")
	step("5:1 7:1 1000:1", 7, 1000, 5)
	step("0:1", 0)
	if got := h.Interval(); got.Count != 1 || got.Sum != 0 {
		t.Errorf("got %d values with the sum %d, want one 0", got.Count, got.Sum)
	}
	h.Record(9) // after the flush: of no interval yet
	if got := h.Interval().Count; got != 1 {
		t.Errorf("got %d values in the interval, want 1", got)
	}
	if got := h.Summary().Count; got != 8 {
		t.Errorf("got %d values in all, want 8", got)
	}
}

// TestFlushOfQuietHistograms: what nobody records into costs no memory, interval
// for interval.
func TestFlushOfQuietHistograms(t *testing.T) {
	s := NewStore()
	s.Scope("cluster.a").Histogram("t").Record(1)
	s.Scope("cluster.b").Histogram("never")
	s.Flush()
	s.Flush()
	if n := testing.AllocsPerRun(10, s.Flush); n > 2 { // what cut compares
		t.Errorf("%v allocations", n)
	}
}
