package intercept

import "time"

// stuckAfter is how long a listener may accept nothing of what waits for it
// before it counts as not listening.
const stuckAfter = 2 * time.Second

// listener is a listening socket as the kernel tells.
type listener struct {
	families Families
	inode    uint32
	waiting  uint32 // connections that wait to be accepted
}

// stuckQueues knows listeners that accept nothing: their program is stopped, or
// stuck. A queue that has been nonempty, and has not become shorter, for
// stuckAfter says so.
type stuckQueues struct {
	seen map[uint32]queueSeen
}

type queueSeen struct {
	waiting uint32
	since   time.Time // when it last was empty or became shorter
}

// working tells for which IP versions some listener accepts connections.
func (s *stuckQueues) working(ls []listener, now time.Time) (f Families) {
	next := make(map[uint32]queueSeen, len(ls))
	for _, l := range ls {
		q, known := s.seen[l.inode]
		if !known || l.waiting == 0 || l.waiting < q.waiting {
			q.since = now
		}
		q.waiting = l.waiting
		next[l.inode] = q
		if now.Sub(q.since) < stuckAfter {
			f |= l.families
		}
	}
	s.seen = next
	return f
}
