package secret

import (
	"sync"
	"sync/atomic"
)

// Live is the secret in force under one name: what an update swaps. Whoever makes something of it watches it, and makes that anew.
// The zero value holds none.
type Live struct {
	p atomic.Pointer[Secret]

	mu       sync.Mutex
	watchers map[*watcher]struct{} // guarded by mu
}

type watcher struct{ changed func(*Secret) }

// NewLive makes a Live that holds s; nil is none yet.
func NewLive(s *Secret) *Live {
	l := &Live{}
	l.p.Store(s)
	return l
}

// Load gives the current secret; nil before the first Store.
func (l *Live) Load() *Secret { return l.p.Load() }

// Store replaces the secret and tells those who watch, in this goroutine. Storing what is there already does nothing.
func (l *Live) Store(s *Secret) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.p.Swap(s) == s {
		return
	}
	for w := range l.watchers {
		w.changed(s)
	}
}

// Watch calls changed after every Store from now on, one call at a time, until stop; once stop has returned no call is under way.
// changed is short and neither stores nor stops watching.
func (l *Live) Watch(changed func(*Secret)) (stop func()) {
	w := &watcher{changed}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.watchers == nil {
		l.watchers = map[*watcher]struct{}{}
	}
	l.watchers[w] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}
