package watchdog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A vigil is what the guard knows of the process.
type vigil struct {
	silent int           // turns without a beat
	cpu    time.Duration // that the process had used when the silence began
}

// sight is what the guard sees in one turn.
type sight struct {
	beats int
	stuck bool // the process says so itself
	// how it is; asked for only when it is silent
	state byte // of /proc/PID/stat
	cpu   time.Duration
}

// A verdict is what is to be done about the process.
type verdict uint8

const (
	alive   verdict = iota
	stuck           // it may still be able to show its stacks
	stopped         // it cannot
)

// look takes a turn's sight and judges.
func (v *vigil) look(s sight, interval time.Duration) verdict {
	switch {
	case s.stuck:
		return stuck
	case s.beats > 0:
		v.silent = 0
		return alive
	}
	if v.silent++; v.silent == 1 {
		v.cpu = s.cpu
	}
	switch {
	case v.silent < Beats:
		return alive
	case s.state == 'T' || s.state == 't': // by a signal, or by a debugger
		return stopped
	}
	// An eighth of a processor is more than a process uses that only waits.
	if v.silent < Beats*BusyFactor && (s.cpu-v.cpu)*8 > time.Duration(v.silent)*interval {
		return alive
	}
	return stuck
}

// clockTick is the unit of times in /proc/PID/stat: 1/sysconf(_SC_CLK_TCK), which
// is 100 on every Linux.
const clockTick = time.Second / 100

// parseStat reads state and processor time from /proc/PID/stat (proc_pid_stat(5)):
// the fields 3, and 14 and 15.
func parseStat(b []byte) (state byte, cpu time.Duration, err error) {
	_, rest, ok := bytes.Cut(b[max(bytes.LastIndexByte(b, ')'), 0):], []byte(") "))
	f := bytes.Fields(rest)
	if !ok || len(f) < 13 {
		return 0, 0, errors.New("not a line of /proc/PID/stat")
	}
	for _, t := range f[11:13] {
		n, err := strconv.ParseInt(string(t), 10, 64)
		if err != nil || n < 0 || n > int64(1<<62)/int64(clockTick) {
			return 0, 0, fmt.Errorf("a time of /proc/PID/stat: %q", t)
		}
		cpu += time.Duration(n) * clockTick
	}
	return f[0][0], cpu, nil
}
