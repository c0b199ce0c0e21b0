package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/proxy/stats"
)

// writeBaseID writes what wrappers of Envoy wait for. The number has no other use.
func (o *flags) writeBaseID() error {
	if o.dynamicBaseID {
		o.baseID = rand.Uint32N(1<<24) + 1
	}
	if o.baseIDPath == "" {
		return nil
	}
	if err := os.WriteFile(o.baseIDPath, []byte(strconv.FormatUint(uint64(o.baseID), 10)), 0o644); err != nil {
		return fmt.Errorf("--base-id-path: %w", err)
	}
	return nil
}

// fileFlush is when lines of access logs are written: after how long at most, and
// at how many bytes.
func (o *flags) fileFlush() (every time.Duration, at int) {
	return max(time.Duration(o.flushMillis), 1) * time.Millisecond, max(int(o.flushKB)<<10, 1)
}

// mutexFraction is the share of waits that are traced: one of so many.
const mutexFraction = 10

// trace does what --enable-core-dump and --enable-mutex-tracing say.
func (o *flags) trace() error {
	if o.mutexTracing {
		runtime.SetMutexProfileFraction(mutexFraction)
	}
	if !o.coreDump {
		return nil
	}
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &l); err != nil {
		return fmt.Errorf("--enable-core-dump: %w", err)
	}
	l.Cur = l.Max
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &l); err != nil {
		return fmt.Errorf("--enable-core-dump: %w", err)
	}
	debug.SetTraceback("crash")
	return nil
}

// useRules brings what the bootstrap says about statistics to the store.
func useRules(store *stats.Store, s *bootstrap.Stats) {
	for _, t := range s.Fixed {
		store.FixTag(t[0], t[1])
	}
	r := stats.Rules{Keep: s.Keep, NoDefaultTags: s.NoDefaultTags}
	for _, t := range s.Tags {
		r.Tags = append(r.Tags, stats.TagRule{Label: t.Name, Regex: t.Regex})
	}
	for _, b := range s.Buckets {
		r.Buckets = append(r.Buckets, stats.BucketRule{Match: func(name string) bool { return b.Match.Match([]byte(name)) }, Bounds: b.Bounds})
	}
	store.Use(r)
}

// flush ends intervals of histograms.
func (p *process) flush(ctx context.Context) error {
	s := &p.l.boot.Stats
	if s.FlushOnAdmin || s.FlushInterval <= 0 {
		return nil
	}
	t := time.NewTicker(s.FlushInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			p.stats.Flush()
		}
	}
}
