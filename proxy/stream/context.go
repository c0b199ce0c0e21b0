package stream

import (
	stdcontext "context"
	"sync"
	"time"
)

// context makes a Stream a context.Context for filters that call out: an
// external service, a sleep. Its channel is made on first use, and a goroutine
// looks after the client only while somebody waits on it.
type context struct {
	mu    sync.Mutex
	done  chan struct{} // guarded by mu, like all below
	err   error
	stop  chan struct{}
	ended chan struct{} // closed by the watching goroutine
}

// gonePoll is how often the client is looked after while a filter waits.
const gonePoll = 250 * time.Millisecond

// Deadline implements context.Context.
func (s *Stream) Deadline() (time.Time, bool) { return s.MaxDeadline, !s.MaxDeadline.IsZero() }

// Done implements context.Context.
func (s *Stream) Done() <-chan struct{} {
	c := &s.ctx
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		c.stop, c.ended = make(chan struct{}), make(chan struct{})
		go s.watch(s.codec, c.done, c.stop, c.ended)
	}
	return c.done
}

// Err implements context.Context.
func (s *Stream) Err() error {
	s.ctx.mu.Lock()
	defer s.ctx.mu.Unlock()
	return s.ctx.err
}

// Value implements context.Context; a stream carries nothing this way.
func (s *Stream) Value(any) any { return nil }

// watch ends the context when the client leaves; it ends with the stream.
func (s *Stream) watch(codec Codec, done, stop, ended chan struct{}) {
	defer close(ended)
	t := time.NewTicker(gonePoll)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			if codec.Gone() {
				s.ctx.cancel(done)
				return
			}
		}
	}
}

func (c *context) cancel(done chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == done && c.err == nil {
		c.err = stdcontext.Canceled
		close(done)
	}
}

// end closes the context at the end of the stream; the goroutine that watches is
// gone when it returns, since the stream is about to serve another request.
func (c *context) end() {
	c.mu.Lock()
	stop, ended := c.stop, c.ended
	c.mu.Unlock()
	if stop == nil {
		return
	}
	close(stop)
	<-ended
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		close(c.done)
	}
	c.done, c.stop, c.ended, c.err = nil, nil, nil, nil
}

// Sleep waits for d and tells whether it passed; false means that the client
// left or the stream's time is up.
func (s *Stream) Sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.Done():
		return false
	}
}
