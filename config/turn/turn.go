// Package turn lets long work of the control plane's side go on in turns with requests.
//
// Go's runtime takes a processor away from a goroutine after 10 ms only, and what waits for one are requests. A step of a request that
// finds all processors taken by the decoding of 10,000 resources waits for that long, several times over.
package turn

import (
	"iter"
	"runtime"
	"time"
)

// Length is how long work goes on without a pause: short beside what a request may take, long beside the cost of a pause (a
// microsecond).
const Length = 250 * time.Microsecond

// A Turn is a stretch of work. The zero value begins with the first Pass.
type Turn struct{ began time.Time }

// Pass is called between two pieces of work, each of which is short: when the turn is over, whoever waits for a processor goes first.
func (t *Turn) Pass() {
	now := time.Now()
	if t.began.IsZero() {
		t.began = now
	}
	if now.Sub(t.began) < Length {
		return
	}
	runtime.Gosched()
	t.began = time.Now()
}

// Each passes before each of a sequence.
func Each[V any](all iter.Seq[V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		var t Turn
		for v := range all {
			if t.Pass(); !yield(v) {
				return
			}
		}
	}
}
