package h2

// table finds a stream by its number. It is a hash table with chains through the
// streams themselves: in steady state nothing is allocated, which a map, whose
// keys only ever grow here, does not promise.
type table struct {
	slots []*half // a power of two
	n     int
}

func (t *table) slot(id uint32) **half { return &t.slots[int(id>>1)&(len(t.slots)-1)] }

// get finds a stream, nil when there is none of that number.
func (t *table) get(id uint32) *half {
	if t.n == 0 {
		return nil
	}
	s := *t.slot(id)
	for s != nil && s.id != id {
		s = s.next
	}
	return s
}

func (t *table) put(s *half) {
	if t.n == len(t.slots) {
		t.grow()
	}
	p := t.slot(s.id)
	s.next, *p = *p, s
	t.n++
}

func (t *table) del(s *half) {
	for p := t.slot(s.id); *p != nil; p = &(*p).next {
		if *p == s {
			*p, s.next = s.next, nil
			t.n--
			return
		}
	}
}

func (t *table) grow() {
	old := t.slots
	t.slots = make([]*half, max(8, 2*len(old)))
	for _, s := range old {
		for s != nil {
			next := s.next
			p := t.slot(s.id)
			s.next, *p = *p, s
			s = next
		}
	}
}

// each calls f with every stream; f may delete the one it is called with.
func (t *table) each(f func(*half)) {
	for _, s := range t.slots {
		for s != nil {
			next := s.next
			f(s)
			s = next
		}
	}
}

// How a stream came to its end.
const (
	buriedInPeace = iota + 1 // both sides had ended it
	buriedByPeer             // the peer reset it
	buriedByUs               // we reset it: what was on its way is ignored
)

// graves remembers how the last few streams ended: what RFC 9113 §5.1 asks for
// frames on closed streams depends on it. Of older ones everything is ignored.
type graves struct {
	ring [32]struct {
		id  uint32
		how uint8
	}
	at int
	// The last streams that were skipped when a higher one was opened: they never were
	// (RFC 9113 §5.1.1).
	gapFrom, gapTo uint32
}

func (g *graves) add(id uint32, how uint8) {
	g.ring[g.at].id, g.ring[g.at].how = id, how
	g.at = (g.at + 1) % len(g.ring)
}

// how tells how a stream ended; 0 when that is not known.
func (g *graves) how(id uint32) uint8 {
	for i := range g.ring {
		if g.ring[i].id == id {
			return g.ring[i].how
		}
	}
	return 0
}

// opened notes that a stream was opened above the highest so far.
func (g *graves) opened(id, highest uint32) {
	first := highest + 2
	if highest == 0 {
		first = 1
	}
	if id > first {
		g.gapFrom, g.gapTo = first, id-2
	}
}

// skipped tells whether a stream was never opened and never can be.
func (g *graves) skipped(id uint32) bool { return g.gapFrom <= id && id <= g.gapTo && g.gapTo > 0 }
