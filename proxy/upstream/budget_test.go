package upstream

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

func TestBudgetIntervalRemembersRequestsThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(&cluster.Thresholds{BudgetPercent: 50, BudgetMinConcurrency: 1, BudgetInterval: 100 * time.Millisecond})
		for range 10 {
			b.recent.add(time.Now())
		}
		for _, step := range []struct {
			after  time.Duration
			active int64
			want   int64
		}{{0, 0, 5}, {50 * time.Millisecond, 0, 5}, {0, 40, 20}, {70 * time.Millisecond, 0, 1}, {time.Hour, 6, 3}} {
			pass(step.after)
			if got := b.retries(step.active); got != step.want {
				t.Errorf("after %v with %d active: %d retries, want %d", step.after, step.active, got, step.want)
			}
		}
	})
	if newBudget(&cluster.Thresholds{BudgetPercent: -1}) != nil {
		t.Error("a budget that is unset")
	}
}
