package main

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
)

// state is where a process is in its life (Envoy: ServerInfo.State).
type state struct{ n atomic.Int32 }

const (
	initializing int32 = iota
	live
	draining
)

func (s *state) set(n int32) { s.n.Store(n) }

// String is Envoy's word for it.
func (s *state) String() string {
	switch s.n.Load() {
	case live:
		return "LIVE"
	case draining:
		return "DRAINING"
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
