// Package breaker is the half-open circuit breaker of one host: closed while
// things go well, open after too many failures, and half-open — a few probes at
// once — before it closes again. It is sony/gobreaker's state machine with an
// answer for the load balancer that costs one atomic load while all is well.
package breaker

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/weirproxy/weir/config/cluster"
)

// State is where a breaker stands.
type State uint8

// The states.
const (
	Closed   State = iota // everything passes
	HalfOpen              // a few probes pass
	Open                  // nothing passes
)

// String gives the state's name.
func (s State) String() string { return [...]string{"closed", "half-open", "open"}[s] }

// ErrOpen is why Allow refuses.
var ErrOpen = errors.New("circuit breaker is open")

// Errors that tell gobreaker how an exchange went.
var (
	errFailed   = errors.New("failed")
	errExcluded = errors.New("excluded")
)

// buckets is how many parts the rolling window has: a failure is forgotten at
// most a tenth of the window late.
const buckets = 10

// A Breaker guards one host.
type Breaker struct {
	cb      *gobreaker.TwoStepCircuitBreaker[struct{}]
	openFor time.Duration
	probes  uint32

	state atomic.Uint32 // what gobreaker's state was when it last changed
	until atomic.Int64  // while open: when the first probe may go, in Unix nanoseconds
}

// New makes a breaker. changed, which may be nil, hears of every change of state;
// it is called with the breaker's lock held and must not call back.
func New(cfg *cluster.Breaker, changed func(from, to State)) *Breaker {
	b := &Breaker{openFor: cfg.OpenFor, probes: max(cfg.HalfOpenMax, 1)}
	if b.openFor <= 0 {
		b.openFor = 60 * time.Second // gobreaker's default
	}
	ratio, least, row := cfg.FailureRatio, max(cfg.MinRequests, 1), cfg.Consecutive
	b.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  b.probes,
		Interval:     cfg.Window,
		BucketPeriod: cfg.Window / buckets,
		Timeout:      b.openFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			if row > 0 && n.ConsecutiveFailures >= row {
				return true
			}
			seen := n.TotalSuccesses + n.TotalFailures
			return ratio > 0 && seen >= least && float64(n.TotalFailures) >= ratio*float64(seen)
		},
		IsExcluded: func(err error) bool { return err == errExcluded },
		OnStateChange: func(_ string, from, to gobreaker.State) {
			if to == gobreaker.StateOpen {
				b.until.Store(time.Now().Add(b.openFor).UnixNano())
			}
			b.state.Store(uint32(stateOf(to)))
			if changed != nil {
				changed(stateOf(from), stateOf(to))
			}
		},
	})
	return b
}

func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateOpen:
		return Open
	case gobreaker.StateHalfOpen:
		return HalfOpen
	}
	return Closed
}

// Closed tells, for one atomic load, whether everything passes.
func (b *Breaker) Closed() bool { return State(b.state.Load()) == Closed }

// Ready tells whether Allow would let an exchange through now. It is meant for
// choosing a host: between it and Allow somebody else may take the last probe.
func (b *Breaker) Ready(now time.Time) bool {
	switch State(b.state.Load()) {
	case Closed:
		return true
	case Open:
		return now.UnixNano() > b.until.Load()
	}
	n := b.cb.Counts()
	return n.Requests-n.TotalExclusions < b.probes
}

// State tells where the breaker stands now.
func (b *Breaker) State() State { return stateOf(b.cb.State()) }

// Allow asks for leave for one exchange. When it is given, exactly one call of the
// Token's Done must follow, or a half-open breaker stays half-open.
func (b *Breaker) Allow() (Token, error) {
	done, err := b.cb.Allow()
	if err != nil {
		return Token{}, ErrOpen
	}
	return Token{done}, nil
}

// A Token is the leave for one exchange; the zero Token asks for nothing.
type Token struct{ done func(error) }

// Done gives the token back with what came of the exchange. counts false means
// that nothing was learned.
func (t Token) Done(failed, counts bool) {
	switch {
	case t.done == nil:
	case !counts:
		t.done(errExcluded)
	case failed:
		t.done(errFailed)
	default:
		t.done(nil)
	}
}
