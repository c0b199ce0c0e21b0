package listener

import (
	"testing"
	"time"
)

func TestStages(t *testing.T) {
	const drain = 100 * time.Second
	for _, c := range []struct {
		gone time.Duration
		at   float64
		want stage
	}{
		{0, 0, asked},
		{0, 0.001, untouched},
		{49 * time.Second, 0.5, untouched},
		{50 * time.Second, 0.5, asked},
		{94 * time.Second, 0.94, asked},
		{94 * time.Second, 0.99, untouched},
		{95 * time.Second, 0.99, hurried},
		{99 * time.Second, 0, hurried},
		{100 * time.Second, 0.99, over},
		{time.Hour, 0, over},
	} {
		if got := stageOf(c.gone, drain, c.at); got != c.want {
			t.Errorf("%v of %v gone, moment %v: stage %d, want %d", c.gone, drain, c.at, got, c.want)
		}
	}
	if got := stageOf(0, 0, 0); got != over {
		t.Errorf("without a drain time: stage %d", got)
	}
}

// TestMoments: whatever numbers connections have, as many are asked in one part of the drain time as in any other.
func TestMoments(t *testing.T) {
	for _, step := range []uint64{1, 2, 3, 64, 1000} {
		var parts [10]int
		for i := range uint64(1000) {
			m := moment(1 + i*step)
			if m < 0 || m >= 1 {
				t.Fatalf("moment of %d is %v", i, m)
			}
			parts[int(m*10)]++
		}
		for i, n := range parts {
			if n < 80 || n > 120 {
				t.Errorf("numbers in steps of %d: %d of 1000 in part %d", step, n, i)
			}
		}
	}
}
