package flows

import (
	"slices"
	"time"
)

// A Follower sees flows as they end. It keeps nothing of them but the number of the last: what ends while it does not look, more than the
// rings hold, is lost to it and counted. One goroutine uses it.
type Follower struct {
	t    *Table
	last []uint64 // of each worker
}

// Follow begins with what ends from now on.
func (t *Table) Follow() *Follower {
	f := &Follower{t: t}
	if t != nil {
		f.last = make([]uint64, len(t.workers))
		for i := range t.workers {
			f.last[i] = t.workers[i].ended.Load()
		}
	}
	return f
}

// Next gives the flows that ended since it was called before, in the order in which they did on each worker; missed is how many more
// there were. full is how much of what the rings hold was new, from 0 to 1: who waits less long misses less.
func (f *Follower) Next(reveal bool, filter *Filter) (out []Flow, missed uint64, full float64) {
	if f.t == nil {
		return nil, 0, 0
	}
	now := time.Now()
	for i := range f.t.workers {
		w := &f.t.workers[i]
		last, newest := f.last[i], w.ended.Load()
		if newest == last {
			continue
		}
		seen, at := uint64(0), len(out)
		w.each(func(e *Entry) {
			if e.state != ended || e.seq <= last || e.seq > newest {
				return
			}
			seen++
			fl := f.t.flow(&e.record, now)
			if !reveal {
				fl.redact()
			}
			if filter == nil || filter.Takes(&fl) {
				out = append(out, fl)
			}
		})
		slices.SortFunc(out[at:], func(a, b Flow) int { return int(int64(a.seq) - int64(b.seq)) })
		missed += newest - last - seen
		full = max(full, float64(newest-last)/(recentChunks*chunkSize))
		f.last[i] = newest
	}
	return out, missed, full
}
