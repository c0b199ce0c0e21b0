package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// state is where a process is in its life (Envoy: ServerInfo.State).
type state struct {
	isLive, isDraining atomic.Bool
	took               atomic.Int64 // how long it was until LIVE, in nanoseconds
}

func (s *state) live(after time.Duration) { s.took.Store(int64(after)); s.isLive.Store(true) }
func (s *state) drain()                   { s.isDraining.Store(true) }

// String is Envoy's word for it.
func (s *state) String() string {
	switch {
	case s.isDraining.Load():
		return "DRAINING"
	case s.isLive.Load():
		return "LIVE"
	}
	return "INITIALIZING"
}

// cgroupMemory is the memory limit of the control group, in bytes; 0 when there
// is none. (The runtime follows the CPU quota by itself, not this.)
func cgroupMemory() int64 {
	b, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return n
}
