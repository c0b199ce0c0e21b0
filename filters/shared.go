package filters

import (
	"maps"
	"sync"
	"weak"
)

// Shared holds what filters of several chains have in common, by key: it lives for
// as long as one of them refers to it. The zero Shared is empty. It may be used from
// several goroutines.
type Shared struct {
	mu   sync.Mutex
	held map[any]holder // guarded by mu
}

// A holder is a held.
type holder interface{ dead() bool }

// held refers to a T without keeping it.
type held[T any] struct{ weak.Pointer[T] }

func (h held[T]) dead() bool { return h.Value() == nil }

// sharedKey keeps the keys of different types apart.
type sharedKey[T any] struct{ key any }

// Share gives the T of a key, which is comparable; fresh makes it when nobody has
// one.
func Share[T any](s *Shared, key any, fresh func() *T) *T {
	if s == nil {
		return fresh()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if h, ok := s.held[sharedKey[T]{key}].(held[T]); ok {
		if v := h.Value(); v != nil {
			return v
		}
	}
	if s.held == nil {
		s.held = map[any]holder{}
	}
	maps.DeleteFunc(s.held, func(_ any, h holder) bool { return h.dead() })
	v := fresh()
	s.held[sharedKey[T]{key}] = held[T]{weak.Make(v)}
	return v
}
