package lastgood

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
)

// Progress says how far a configuration has come.
type Progress struct {
	// Answered: every listener and cluster that serves is the control plane's word, none is from the file. Before, nothing is
	// written, so that a start never replaces a good file by half of one.
	Answered bool
	Warming  bool // some resources wait
}

// A Keeper writes what it is offered.
type Keeper struct {
	// Set in NewKeeper, never changed.
	store    *Store
	progress func() Progress
	log      *zap.Logger
	wake     chan struct{}

	secret map[*config.Resource]bool // owned by Run: what Sensitive said

	mu      sync.Mutex
	next    *config.Snapshot // guarded by mu: newest that is not written
	since   time.Time        // guarded by mu: of the first offer after the last write
	written time.Time        // guarded by mu
}

// NewKeeper makes a Keeper; progress takes no time.
func NewKeeper(s *Store, progress func() Progress, log *zap.Logger) *Keeper {
	return &Keeper{store: s, progress: progress, log: log, wake: make(chan struct{}, 1)}
}

// The pace of writing.
const (
	settle   = time.Second      // pushes come in groups: one file for all of a second
	patience = 15 * time.Second // a snapshot in which something waits is written when this is over
	maxRetry = time.Minute      // the longest pause after a failure
	share    = 20               // no more than this part of the time is spent on writing
)

// Offer takes a snapshot that was applied. It does not wait.
func (k *Keeper) Offer(s *config.Snapshot) {
	k.mu.Lock()
	if k.next == nil {
		k.since = time.Now()
	}
	k.next = s
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Written is when a file was written last; zero when none was.
func (k *Keeper) Written() time.Time {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.written
}

// Run writes until ctx ends, and then what is left.
func (k *Keeper) Run(ctx context.Context) error {
	pause, failed := settle, false
	for {
		select {
		case <-ctx.Done():
			_, err := k.write(true)
			if err != nil {
				k.log.Error("last known good configuration not written", zap.String("file", k.store.Path), zap.Error(err))
			}
			return nil
		case <-k.wake:
		}
		if !sleep(ctx, pause) {
			k.again()
			continue
		}
		took, err := k.write(false)
		switch {
		case err != nil:
			if !failed {
				k.log.Error("last known good configuration not written, trying again", zap.String("file", k.store.Path), zap.Error(err))
			}
			failed, pause = true, min(2*pause, maxRetry)
			k.again()
		case failed:
			k.log.Info("last known good configuration written again", zap.String("file", k.store.Path))
			failed, pause = false, max(settle, share*took)
		default:
			pause = max(settle, share*took)
		}
	}
}

// again makes Run look once more.
func (k *Keeper) again() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// write writes what was offered last, if it may be; last says that there will be no other time.
func (k *Keeper) write(last bool) (took time.Duration, err error) {
	start := time.Now()
	k.mu.Lock()
	s, since, first := k.next, k.since, k.written.IsZero()
	k.mu.Unlock()
	if s == nil {
		return 0, nil
	}
	p := k.progress()
	if !p.Answered || p.Warming && (!last || first) && start.Sub(since) < patience {
		if !last {
			k.again()
		}
		return 0, nil
	}
	if err := k.store.Write(k.state(s), start); err != nil {
		return 0, err
	}
	k.mu.Lock()
	k.written = start
	if k.next == s {
		k.next = nil
	} else {
		k.since = start
	}
	k.mu.Unlock()
	return time.Since(start), nil
}

// state is what to write of a snapshot. Resources that were looked at before are not read again.
func (k *Keeper) state(s *config.Snapshot) *State {
	if k.store.Key != nil {
		return Of(s, nil)
	}
	now := make(map[*config.Resource]bool, len(k.secret))
	st := Of(s, func(r *config.Resource) bool {
		is, known := k.secret[r]
		if !known {
			is = Sensitive(r.Raw)
		}
		now[r] = is
		return is
	})
	k.secret = now
	return st
}

// sleep waits; false says that ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
