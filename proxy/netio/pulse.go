package netio

import "fmt"

// A Pulse can be asked for a sign of life of the goroutine that serves it.
type Pulse interface {
	// Ask asks for one; it does not wait.
	Ask()
	// Answers is how many signs there have been.
	Answers() uint64
	// String names what is asked.
	String() string
}

// Pulses are those of the loops, which answer while Run runs.
func (l *Loops) Pulses() []Pulse {
	if l == nil {
		return nil
	}
	out := make([]Pulse, len(l.loops))
	for i, p := range l.loops {
		out[i] = p
	}
	return out
}

// Ask implements Pulse.
func (p *loop) Ask() { p.ring() }

// Answers implements Pulse.
func (p *loop) Answers() uint64 { return p.answers.Load() }

// String implements Pulse.
func (p *loop) String() string { return fmt.Sprintf("event loop %d", p.number) }

// Ask makes the accepting goroutine look at the socket once more, whether or not a
// connection waits. It does nothing for a listener on the runtime's poller.
func (ln *Listener) Ask() {
	if d, ok := ln.d.(*loopFD); ok {
		d.r.raise(ready)
	}
}

// CanAnswer tells whether Ask does anything.
func (ln *Listener) CanAnswer() bool {
	_, ok := ln.d.(*loopFD)
	return ok
}

// Answers is how often the accepting goroutine has looked.
func (ln *Listener) Answers() uint64 { return ln.answers.Load() }
