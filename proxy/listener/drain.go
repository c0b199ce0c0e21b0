package listener

import (
	"time"
)

// The connections of a filter chain that is no longer configured, and those of a listener that is removed, end gradually, as Envoy's
// do (--drain-time-s, --drain-strategy): each is asked to at a moment of its own within the drain time, so that their clients do not
// all come back at once. Asked, it ends with its next response (HTTP/1: connection: close; HTTP/2: two GOAWAYs). A connection
// between requests is left alone, for its client may be about to send one, until the last part of the drain time; and what is left at
// the end of it, such as opaque TCP, is closed.

// lastPart is the share of the drain time in which connections between requests are closed.
const lastPart = 20

// A stage is how far the drain of a connection has come.
type stage uint8

const (
	untouched stage = iota
	asked           // to end with its next response
	hurried         // to end when it is between requests
	over            // it is closed
)

// stageOf is where a connection stands some time after its drain began. at, in [0,1), is its own moment.
func stageOf(gone, drain time.Duration, at float64) stage {
	switch {
	case gone >= drain:
		return over
	case gone >= drain-drain/lastPart:
		return hurried
	case gone >= time.Duration(at*float64(drain)):
		return asked
	}
	return untouched
}

// moment spreads connections evenly over [0,1) by their numbers.
func moment(id uint64) float64 {
	return float64(id*0x9e3779b97f4a7c15>>11) / (1 << 53) // Fibonacci hashing
}

// The pace at which draining connections are looked at: a hundredth of the drain time.
const (
	shortestLook = 5 * time.Millisecond
	longestLook  = time.Second
)

// drainSoon begins, or goes on with, the drain of what is retired. l.mu is held.
func (l *Listener) drainSoon() {
	if !l.o.Gradual {
		l.each(func(s *session) {
			if _, retired := l.retiredSince(s); retired {
				s.StartDrain()
			}
		})
	}
	if l.drainer || l.o.DrainTime <= 0 {
		return
	}
	l.drainer = true
	l.drains.Go(func() {
		t := time.NewTicker(min(max(l.o.DrainTime/100, shortestLook), longestLook))
		defer t.Stop()
		for l.drainStep(time.Now()) {
			select {
			case <-t.C:
			case <-l.gone:
				return
			}
		}
	})
}

// drainStep looks at all connections; false says that none is left to drain.
func (l *Listener) drainStep(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	left := false
	l.each(func(s *session) {
		since, retired := l.retiredSince(s)
		if !retired {
			return
		}
		left = true
		switch stageOf(now.Sub(since), l.o.DrainTime, moment(s.Info.ID)) {
		case asked:
			s.EndSoon()
		case hurried:
			s.StartDrain()
		case over:
			_ = s.raw.Close() // its goroutine notices, and may have been faster
		}
	})
	l.drainer = left
	return left
}

// retiredSince tells since when a connection's listener or filter chain is no longer configured.
func (l *Listener) retiredSince(s *session) (time.Time, bool) {
	if t := l.retired.Load(); t != nil {
		return *t, true
	}
	if c := s.chain.Load(); c != nil {
		return c.retiredAt()
	}
	return time.Time{}, false
}

// Retire asks all connections, also those to come, to end within the drain time, as the listener is no longer configured.
func (l *Listener) Retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.retired.Store(&now)
	l.drainSoon()
}
