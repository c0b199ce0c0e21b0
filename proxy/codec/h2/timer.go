package h2

import (
	"math/rand/v2"
	"time"
)

// alarm is the one timer of a connection. It is armed for the earliest of all
// deadlines that somebody waits for; one that nobody waits for any more is not
// disarmed: it fires, finds nothing, and is armed for the next. So a request with
// a deadline later than that of another costs a comparison.
type alarm struct {
	c  *core
	t  *time.Timer
	at time.Time // when it is due; zero when it is not armed
	// tick is when streams that wait for a response call their wake next.
	tick time.Time
	off  bool
}

func (a *alarm) init(c *core) { a.c = c }

// by makes the alarm due no later than t; zero is never. The lock is held.
func (a *alarm) by(t time.Time) {
	if t.IsZero() || a.off || !a.at.IsZero() && !t.Before(a.at) {
		return
	}
	a.at = t
	d := max(time.Until(t), 0)
	if a.t == nil {
		a.t = time.AfterFunc(d, a.fire)
		return
	}
	a.t.Reset(d)
}

// stop disarms the alarm for good. The lock is held.
func (a *alarm) stop() {
	a.off = true
	if a.t != nil {
		a.t.Stop()
	}
}

// fire wakes who waited long enough and arms the alarm for the others.
func (a *alarm) fire() {
	c := a.c
	c.mu.Lock()
	defer c.unlock()
	if a.off {
		return
	}
	now := time.Now()
	a.at = time.Time{}
	var next time.Time
	is := func(t time.Time) bool {
		if t.IsZero() || !now.Before(t) {
			return !t.IsZero()
		}
		next = sooner(next, t)
		return false
	}
	ticks := is(a.tick)
	if ticks {
		a.tick = time.Time{}
	}
	c.table.each(func(s *half) {
		if s.rwaits > 0 && is(s.rdl) {
			s.late = true
			s.rcond.Broadcast()
		}
		if s.wwaits > 0 && is(sooner(s.wdl, s.wuntil)) {
			s.wcond.Broadcast()
		}
		if ticks && s.rwaits > 0 && s.waker != nil {
			s.woken = true
			s.rcond.Broadcast()
		}
	})
	if f := c.out.flusher; f != nil && is(f.rdl) {
		f.late = true
		c.out.leaveFor(f)
	}
	is(c.side.due(now))
	is(c.keep.due(c, now))
	a.by(next)
}

// sooner is the earlier of two moments, of which zero is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// keepalive sends PINGs and ends a connection that does not answer.
type keepalive struct {
	next  time.Time // when the next PING is due, or the answer to one
	wait  bool      // a PING is out
	heard uint64    // the bytes that had come when it was sent
}

// pingKeepalive is what our keepalive PINGs carry.
var pingKeepalive = [8]byte{'w', 'e', 'i', 'r', 'l', 'i', 'v', 'e'}

// start arms the first PING. The lock is held.
func (k *keepalive) start(c *core) {
	if c.o.Keepalive.Interval > 0 {
		k.next = time.Now().Add(c.o.Keepalive.interval())
		c.timer.by(k.next)
	}
}

// interval is the time to the next PING, with its jitter.
func (k *Keepalive) interval() time.Duration {
	return k.Interval + time.Duration(rand.Float64()*k.Jitter/100*float64(k.Interval))
}

// ping sends a PING and gives when its answer is due.
func (k *keepalive) ping(c *core, now time.Time) {
	c.out.ping(false, pingKeepalive)
	c.out.kick()
	k.wait, k.heard = true, c.received
	k.next = now.Add(c.o.Keepalive.Timeout)
}

// due does what is due and gives when it has to be called next.
func (k *keepalive) due(c *core, now time.Time) time.Time {
	if k.next.IsZero() || now.Before(k.next) || c.err != nil {
		return k.next
	}
	o := &c.o.Keepalive
	switch {
	case k.wait && c.received == k.heard:
		c.st.KeepaliveTimeout.Inc()
		c.kill(ErrKeepalive)
		k.next = time.Time{}
	case k.wait:
		k.wait = false
		k.next = time.Time{}
		if o.Interval > 0 {
			k.next = now.Add(max(o.interval()-o.Timeout, 0))
		}
	default:
		k.ping(c, now)
	}
	return k.next
}
