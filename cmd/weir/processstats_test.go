package main

import (
	"math"
	"testing"
	"time"
)

func TestDaysUntil(t *testing.T) {
	now := time.Unix(1e9, 0)
	for left, want := range map[time.Duration]int64{
		-48 * time.Hour: 0, 0: 0, 23 * time.Hour: 0, 24 * time.Hour: 1, 71 * time.Hour: 2, 240 * time.Hour: 10,
	} {
		if got := daysUntil(now.Add(left), now); got != want {
			t.Errorf("%v left: %d days, want %d", left, got, want)
		}
	}
	if got := daysUntil(time.Time{}, now); got != math.MaxUint32 {
		t.Errorf("no certificate: %d", got)
	}
}
