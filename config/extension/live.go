package extension

import (
	"sync"
	"sync/atomic"
)

// Live is the configuration in force under one name of discovery: what an update swaps. Whoever builds something of it watches it,
// and builds that anew. The zero value holds none.
type Live struct {
	p atomic.Pointer[Parsed]

	mu       sync.Mutex
	watchers map[*watcher]struct{} // guarded by mu
}

type watcher struct{ changed func(*Parsed) }

// Load gives the current configuration; nil when there is none.
func (l *Live) Load() *Parsed { return l.p.Load() }

// Store replaces the configuration, nil takes it away, and tells those who watch, in this goroutine.
func (l *Live) Store(p *Parsed) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.p.Swap(p) == p {
		return
	}
	for w := range l.watchers {
		w.changed(p)
	}
}

// Watch calls changed with what is there, and after every Store, one call at a time, until stop; once stop has returned no call is
// under way. changed neither stores nor stops watching.
func (l *Live) Watch(changed func(*Parsed)) (stop func()) {
	w := &watcher{changed}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers == nil {
		l.watchers = map[*watcher]struct{}{}
	}
	l.watchers[w] = struct{}{}
	changed(l.p.Load())
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}
