package runtime

import (
	"sync"
	"sync/atomic"
	"weak"
)

// A Registry has the snapshot in force and the keys that are read. A nil Registry has neither: every value is its default.
type Registry struct {
	now atomic.Pointer[Snapshot]

	mu    sync.Mutex
	keys  map[string]weak.Pointer[Key] // guarded by mu: what nothing reads any more is swept out
	due   int                          // guarded by mu: how many keys make the next sweep
	hooks []func(*Snapshot)            // guarded by mu
}

// minSweep is how many keys are kept without looking whether they are read.
const minSweep = 64

// NewRegistry makes a registry without values.
func NewRegistry() *Registry {
	r := &Registry{keys: map[string]weak.Pointer[Key]{}, due: minSweep}
	r.now.Store(&Snapshot{})
	return r
}

// A Key is one key of a registry, as its readers hold it. All methods may be called on a nil Key, which has no value.
type Key struct {
	name string
	v    atomic.Pointer[Value]
}

// Key gives the handle of a key, the same to all who ask while one of them holds it. A key without a name, and one of a nil registry,
// is nil.
func (r *Registry) Key(name string) *Key {
	if r == nil || name == "" {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.keys[name].Value(); k != nil {
		return k
	}
	if len(r.keys) >= r.due {
		r.sweep()
	}
	k := &Key{name: name}
	k.v.Store(r.now.Load().Final[name])
	r.keys[name] = weak.Make(k)
	return k
}

// sweep forgets the keys that nothing reads any more.
func (r *Registry) sweep() {
	for n, p := range r.keys {
		if p.Value() == nil {
			delete(r.keys, n)
		}
	}
	r.due = max(minSweep, 2*len(r.keys))
}

// Snapshot gives the values in force.
func (r *Registry) Snapshot() *Snapshot {
	if r == nil {
		return &Snapshot{}
	}
	return r.now.Load()
}

// Store puts a snapshot in force: every key has its value when Store returns.
func (r *Registry) Store(s *Snapshot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now.Store(s)
	for name, p := range r.keys {
		if k := p.Value(); k != nil {
			if v := s.Final[name]; k.v.Load() != v {
				k.v.Store(v)
			}
		}
	}
	for _, f := range r.hooks {
		f(s)
	}
}

// OnChange has f called with the snapshot in force, now and whenever another one comes, one call after the other. f must not call the
// registry. It is for readers whose keys are too many to hold, such as those of every cluster.
func (r *Registry) OnChange(f func(*Snapshot)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = append(r.hooks, f)
	f(r.now.Load())
}

// Name gives the key itself, "" of a nil Key.
func (k *Key) Name() string {
	if k == nil {
		return ""
	}
	return k.name
}

// Value gives what is in force, nil when no layer has the key.
func (k *Key) Value() *Value {
	if k == nil {
		return nil
	}
	return k.v.Load()
}

// Uint gives a whole number (Envoy: getInteger).
func (k *Key) Uint(def uint64) uint64 {
	if v := k.Value(); v != nil {
		if n, ok := v.Uint(); ok {
			return n
		}
	}
	return def
}

// Uint32 does so for a RuntimeUInt32: what does not fit is not taken.
func (k *Key) Uint32(def uint32) uint32 {
	if n := k.Uint(uint64(def)); n <= 1<<32-1 {
		return uint32(n)
	}
	return def
}

// Float gives a number (Envoy: getDouble).
func (k *Key) Float(def float64) float64 {
	if v := k.Value(); v != nil {
		if n, ok := v.Float(); ok {
			return n
		}
	}
	return def
}

// Bool gives a boolean (Envoy: getBoolean).
func (k *Key) Bool(def bool) bool {
	if v := k.Value(); v != nil {
		if on, ok := v.Bool(); ok {
			return on
		}
	}
	return def
}

// Share gives a share (Envoy: featureEnabled).
func (k *Key) Share(def Share) Share {
	if v := k.Value(); v != nil {
		if s, ok := v.Share(); ok {
			return s
		}
	}
	return def
}
