package turn

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPassEndsTurns that are over, and only those.
func TestPassEndsTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var u Turn
		u.Pass()
		first := u.began
		<-time.NewTimer(Length - 1).C
		if u.Pass(); u.began != first {
			t.Error("the turn ended early")
		}
		<-time.NewTimer(1).C
		if u.Pass(); u.began != time.Now() {
			t.Error("the turn did not end")
		}
	})
}

func TestEach(t *testing.T) {
	all := []int{1, 2, 3}
	if got := slices.Collect(Each(slices.Values(all))); !slices.Equal(got, all) {
		t.Errorf("%v, want %v", got, all)
	}
	for v := range Each(slices.Values(all)) {
		if v == 2 {
			break
		}
	}
}
