package proxy

import (
	"testing"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
)

// A watch has the secret that is there and every one after it, until its owner is gone.
func TestWatchSecret(t *testing.T) {
	k := newSecrets(zap.NewNop(), stats.NewStore().Scope(""))
	l, done := k.find("s"), make(chan struct{})
	var seen []*secret.Secret
	gone := 0
	k.watch(l, func(s *secret.Secret) { seen = append(seen, s) }, func() { gone++ }, done)
	a, b := &secret.Secret{}, &secret.Secret{}
	l.Store(a)
	k.watch(l, func(s *secret.Secret) { seen = append(seen, s) }, func() { gone++ }, nil)
	if len(seen) != 2 || seen[0] != a || seen[1] != a {
		t.Fatalf("%v", seen)
	}
	sweep := func() { k.mu.Lock(); defer k.mu.Unlock(); k.sweep() }
	sweep()
	close(done)
	l.Store(b)
	if sweep(); len(seen) != 4 || gone != 1 {
		t.Errorf("saw %d, %d gone", len(seen), gone)
	}
	if l.Store(a); len(seen) != 5 {
		t.Errorf("saw %d", len(seen))
	}
}
