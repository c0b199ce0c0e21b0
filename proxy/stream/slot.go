package stream

// A Slot is a filter's own state of one stream, of a type known when the chain
// is built. Streams are pooled per chain, so their slots already have the right
// types and nothing is allocated per request; a slot is the zero T when a stream
// begins.
type Slot[T any] struct{ i int }

// Of gives the stream's value of the slot.
func (sl Slot[T]) Of(s *Stream) *T { return s.slots[sl.i].v.(*T) }

// Slots allots the slots of a chain while it is built.
type Slots struct {
	makers []slotMaker
	free   []int  // given back
	whole  *Slots // what this is a part of, nil when it is none
	mine   []int  // of a part: what was allotted through it
}

type slotMaker func() slot

type slot struct {
	v    any
	zero func()
}

// Part gives slots that can be given back together: those of a filter that is
// replaced while its chain lives.
func (a *Slots) Part() *Slots { return &Slots{whole: a} }

// Release gives a part's slots back. Chains that were built before keep theirs.
func (a *Slots) Release() {
	for _, i := range a.mine {
		a.whole.makers[i] = func() slot { return slot{nil, func() {}} }
	}
	a.whole.free = append(a.whole.free, a.mine...)
	a.mine = nil
}

// take allots one slot.
func (a *Slots) take(m slotMaker) int {
	if a.whole != nil {
		i := a.whole.take(m)
		a.mine = append(a.mine, i)
		return i
	}
	if n := len(a.free); n > 0 {
		i := a.free[n-1]
		a.free = a.free[:n-1]
		a.makers[i] = m
		return i
	}
	a.makers = append(a.makers, m)
	return len(a.makers) - 1
}

// NewSlot allots a slot of type T.
func NewSlot[T any](a *Slots) Slot[T] {
	return Slot[T]{a.take(func() slot {
		v := new(T)
		return slot{v, func() { var z T; *v = z }}
	})}
}
