package proxy

import (
	"context"
	"crypto/sha256"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
)

// SecretStats count what becomes of a secret's files, under sds.<name>. (Envoy:
// SDS statistics), and under sds.inline. of those that a configuration names itself.
type SecretStats struct {
	RotationFailed *stats.Counter `stat:"key_rotation_failed"` // changed files that could not be taken
}

// secrets are the live secrets. What is read from files is read again when these
// change: a pair of which only one half is written yet is not taken, the next change
// brings the other.
type secrets struct {
	log   *zap.Logger
	scope *stats.Scope

	mu        sync.Mutex               // held while secrets are swapped, not while files are read
	named     map[string]*liveSecret   // by key; guarded by mu, like all below
	inline    map[*liveSecret]struct{} // of configurations that name files themselves
	watched   []watchedSecret          // by those who show what is in force
	interrupt context.CancelFunc       // makes run look for other files; nil before
}

// liveSecret is a secret that transport sockets look at.
type liveSecret struct {
	secret.Live
	name  string
	stats *SecretStats
	scope *stats.Scope
	from  *config.Resource // nil while it is not here, and for inline ones
	again func() (*secret.Secret, error)
	files secret.Sources
	done  <-chan struct{} // of inline ones: closed when nobody looks at it any more

	// owned by run
	read *secret.Secret    // that was in force when the files were read last
	sum  [sha256.Size]byte // of their content then
}

// watchedSecret is a secret that someone watches until done is closed.
type watchedSecret struct {
	stop, gone func()
	done       <-chan struct{}
}

func newSecrets(log *zap.Logger, scope *stats.Scope) *secrets {
	return &secrets{log: log, scope: scope, named: map[string]*liveSecret{}, inline: map[*liveSecret]struct{}{}}
}

// find gives the live secret of a key, which may be empty yet.
func (k *secrets) find(key string) *secret.Live {
	k.mu.Lock()
	defer k.mu.Unlock()
	return &k.get(key, key).Live
}

func (k *secrets) get(key, name string) *liveSecret {
	l := k.named[key]
	if l == nil {
		l = k.fresh(name)
		k.named[key] = l
	}
	return l
}

func (k *secrets) fresh(name string) *liveSecret {
	l := &liveSecret{name: name, scope: k.scope.Scope("sds", name)}
	l.stats = stats.Fill[SecretStats](l.scope)
	return l
}

// apply swaps the secrets that changed.
func (k *secrets) apply(s *config.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for key, r := range s.Secrets {
		l := k.get(key, r.Name)
		if l.from == r {
			continue
		}
		v := s.Secret(key)
		l.from, l.files = r, v.Sources
		l.again = func() (*secret.Secret, error) { return config.ReadSecret(r) }
		l.Store(v)
		k.look()
	}
}

// drop forgets the secrets that nothing in s refers to. Who still looks at one keeps
// it as it is.
func (k *secrets) drop(s *config.Snapshot) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.named) == 0 {
		return
	}
	wanted := map[string]bool{}
	for _, owners := range []map[string]*config.Resource{s.Listeners, s.Clusters, s.Extensions} {
		for _, r := range owners {
			for _, ref := range r.Refs {
				if ref.TypeURL == config.SecretURL {
					wanted[ref.Key()] = true
				}
			}
		}
	}
	maps.DeleteFunc(k.named, func(key string, l *liveSecret) bool {
		if s.Secrets[key] != nil || wanted[key] {
			return false
		}
		l.scope.Close()
		k.look()
		return true
	})
}

// keep makes a live secret of one that stands in a configuration itself, until done
// is closed.
func (k *secrets) keep(v *secret.Secret, again func() (*secret.Secret, error), done <-chan struct{}) *secret.Live {
	k.mu.Lock()
	defer k.mu.Unlock()
	l := k.fresh("inline")
	l.again, l.files, l.done = again, v.Sources, done
	l.Store(v)
	k.inline[l] = struct{}{}
	k.look()
	return &l.Live
}

// watch is filters.BuildContext.WatchSecret; sweep ends it.
func (k *secrets) watch(l *secret.Live, changed func(*secret.Secret), gone func(), done <-chan struct{}) {
	var mu sync.Mutex
	one := func(s *secret.Secret) { mu.Lock(); defer mu.Unlock(); changed(s) }
	mu.Lock()
	stop := l.Watch(one) // what comes meanwhile waits for what is there
	if s := l.Load(); s != nil {
		changed(s)
	}
	mu.Unlock()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.watched = append(k.watched, watchedSecret{stop, gone, done})
}

// sweep ends the watches of who is gone; k.mu is held.
func (k *secrets) sweep() {
	k.watched = slices.DeleteFunc(k.watched, func(w watchedSecret) bool {
		select {
		case <-w.done:
			w.stop()
			w.gone()
			return true
		default:
			return false
		}
	})
}

// A SecretInfo is a secret in force, for the admin interface.
type SecretInfo struct {
	Key    string
	Name   string
	From   *config.Resource // that brought it
	Secret *secret.Secret   // as its files say now
}

// Secrets lists the secrets in force that have a name, by key.
func (p *Proxy) Secrets() (out []SecretInfo) {
	k := p.secrets
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(k.named)) {
		l := k.named[key]
		if v := l.Load(); v != nil && l.from != nil {
			out = append(out, SecretInfo{key, l.name, l.from, v})
		}
	}
	return out
}

// look makes run look at other files; k.mu is held.
func (k *secrets) look() {
	if k.interrupt != nil {
		k.interrupt()
	}
}
