package stream

// A Slot is a filter's own state of one stream, of a type known when the chain
// is built. Streams are pooled per chain, so their slots already have the right
// types and nothing is allocated per request; a slot is the zero T when a stream
// begins.
type Slot[T any] struct{ i int }

// Of gives the stream's value of the slot.
func (sl Slot[T]) Of(s *Stream) *T { return s.slots[sl.i].v.(*T) }

// Slots allots the slots of a chain while it is built.
type Slots struct{ makers []slotMaker }

type slotMaker func() slot

type slot struct {
	v    any
	zero func()
}

// NewSlot allots a slot of type T.
func NewSlot[T any](a *Slots) Slot[T] {
	a.makers = append(a.makers, func() slot {
		v := new(T)
		return slot{v, func() { var z T; *v = z }}
	})
	return Slot[T]{len(a.makers) - 1}
}
