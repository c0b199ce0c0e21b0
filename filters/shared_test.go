package filters_test

import (
	"runtime"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSharedByKeyAndType(t *testing.T) {
	var s filters.Shared
	made := 0
	one := func() *int { made++; return new(int) }
	a, b, c := filters.Share(&s, "a", one), filters.Share(&s, "a", one), filters.Share(&s, "b", one)
	if a != b || a == c || made != 2 {
		t.Errorf("%p %p %p, %d made", a, b, c, made)
	}
	if filters.Share(&s, "a", func() *string { return new(string) }) == nil {
		t.Error("another type of the same key")
	}
	if filters.Share(nil, "a", one) == a {
		t.Error("nothing is shared without a Shared")
	}
	runtime.KeepAlive([]*int{a, c})
}

func TestSharedGoesWithItsLastUser(t *testing.T) {
	var s filters.Shared
	*filters.Share(&s, "a", func() *[64]int { return new([64]int) }) = [64]int{1}
	for range 1000 {
		runtime.GC()
		if filters.Share(&s, "a", func() *[64]int { return new([64]int) })[0] == 0 {
			return
		}
	}
	t.Error("it stayed")
}
