package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// Garbage may gather to gcPercent of what lives, since the data path makes none
// and collections only cost (docs/performance.md); but to no more than gcSpare bytes
// where much lives, for then it is a large configuration that makes it, while it
// is decoded. It is never less than gcLeast percent.
const (
	gcPercent = 400
	gcLeast   = 50
	gcSpare   = 48 << 20
)

// collectByLive sets how much garbage may gather after every collection anew.
func collectByLive() {
	debug.SetGCPercent(gcPercent)
	afterCollection(gcPercent)
}

// afterCollection waits for the end of the next collection: that is when the
// runtime finds out that nobody has the sentinel.
func afterCollection(percent int) {
	sentinel := &struct{ _ [4]uintptr }{}
	runtime.AddCleanup(sentinel, func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		if metrics.Read(live); live[0].Value.Kind() == metrics.KindUint64 {
			if next := percentFor(live[0].Value.Uint64()); next != percent {
				debug.SetGCPercent(next)
				percent = next
			}
		}
		afterCollection(percent)
	}, percent)
}

// percentFor gives GOGC for a number of bytes that live, in steps of 25.
func percentFor(live uint64) int {
	n := int(uint64(gcSpare)*100/max(live, 1<<20)) / 25 * 25
	return min(max(n, gcLeast), gcPercent)
}
