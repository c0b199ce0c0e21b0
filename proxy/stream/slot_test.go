package stream

import (
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A filter that is replaced again and again does not make streams larger, and streams of the chain before keep what they have.
func TestSlotsAreGivenBack(t *testing.T) {
	all := &Slots{}
	fixed := NewSlot[int](all)
	part := all.Part()
	was := NewSlot[string](part)
	old := NewChain(nil, all, nil)
	first := New(old)
	*was.Of(first) = "kept"
	for range 10 {
		next := all.Part()
		now := NewSlot[[4]int](next)
		part.Release()
		part = next
		s := New(NewChain(nil, all, nil))
		*fixed.Of(s), *now.Of(s) = 1, [4]int{1}
		s.Recycle()
		if *fixed.Of(s) != 0 || *now.Of(s) != [4]int{} {
			t.Error("a slot is not empty in a stream's next life")
		}
		if n := len(s.slots); n > 3 {
			t.Fatalf("%d slots for two filters", n)
		}
	}
	if *was.Of(first) != "kept" {
		t.Error("a stream of the old chain lost its slot")
	}
	*was.Of(New(old)) = "again"
}
