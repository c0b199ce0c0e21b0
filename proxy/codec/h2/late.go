package h2

import (
	"time"

	"golang.org/x/net/http2"
)

// A latecomer is a request whose response is complete while its body still comes. It
// has no stream of ours any more: what comes is thrown away, and only the
// connection's window is opened for it.
type latecomer struct {
	id    uint32
	left  int64     // what the client may still send
	until time.Time // it is reset then
}

// latecomers are in the order in which they are due. A client that reads a response
// only when it has sent its request would take an early RST_STREAM for a failure, the
// NO_ERROR of RFC 9113 §8.1 or not.
type latecomers []latecomer

// maxLatecomers bounds them: the next one resets the first.
const maxLatecomers = 128

// outstay lets the request of a complete response go on for a while. The lock is held.
func (s *Server) outstay(h *half) {
	if len(s.late) == maxLatecomers {
		s.dismiss(0)
	}
	l := latecomer{h.id, h.recvWin, time.Now().Add(s.o.LateGrace)}
	s.late = append(s.late, l)
	s.timer.by(l.until)
	s.remove(h)
}

// lateData takes DATA of a latecomer; false says that the stream is none. What it
// weighs was credited to the connection already. The lock is held.
func (c *core) lateData(id uint32, n int, end bool) bool {
	i := c.late.index(id)
	if i < 0 {
		return false
	}
	c.late[i].left -= int64(n)
	switch {
	case end:
		c.endLate(id, buriedInPeace)
	case c.late[i].left <= 0:
		c.dismiss(i)
	}
	return true
}

// endLate forgets a latecomer that has ended; false says that the stream is none.
func (c *core) endLate(id uint32, how uint8) bool {
	i := c.late.index(id)
	if i < 0 {
		return false
	}
	c.forgetLate(i, how)
	return true
}

// dismiss resets a latecomer: the client shall stop sending (RFC 9113 §8.1).
func (c *core) dismiss(i int) {
	c.out.rst(c.late[i].id, http2.ErrCodeNo)
	c.forgetLate(i, buriedByUs)
	c.out.kick()
}

// forgetLate removes a latecomer; a connection that drains may have waited for it.
func (c *core) forgetLate(i int, how uint8) {
	c.closed.add(c.late[i].id, how)
	c.late = append(c.late[:i], c.late[i+1:]...)
	c.note = c.note || c.goneAway
}

// dismissDue resets those whose time is up and gives when that is of the next.
func (c *core) dismissDue(now time.Time) (next time.Time) {
	for len(c.late) > 0 {
		if at := c.late[0].until; now.Before(at) {
			return at
		}
		c.dismiss(0)
	}
	return next
}

func (l latecomers) index(id uint32) int {
	for i := range l {
		if l[i].id == id {
			return i
		}
	}
	return -1
}
