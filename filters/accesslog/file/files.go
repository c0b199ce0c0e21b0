package file

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

const (
	flushEvery = time.Second      // Envoy waits 10 s, which puzzles whoever looks at the file
	flushAt    = 64 << 10         // bytes that are written before that (Envoy: file_flush_min_size_kb)
	bufferMax  = 4 << 20          // bytes that wait for one file; what is beyond is dropped and counted
	idleClose  = 10 * time.Minute // a file nothing was written to for so long is closed until there is
	writeTime  = 2 * time.Second  // a pipe that takes nothing for so long loses the lines
)

// Stats are the counters of all access log files, under filesystem. (Envoy:
// access log file statistics; write_dropped is ours).
type Stats struct {
	Buffered      *stats.Counter `stat:"write_buffered"`       // lines taken
	Completed     *stats.Counter `stat:"write_completed"`      // writes done
	Failed        *stats.Counter `stat:"write_failed"`         // writes that failed; their lines are lost
	Dropped       *stats.Counter `stat:"write_dropped"`        // lines that found no room
	FlushedByTime *stats.Counter `stat:"flushed_by_timer"`     // writes because the interval was over
	ReopenFailed  *stats.Counter `stat:"reopen_failed"`        // the file stayed the old one
	TotalBuffered *stats.Gauge   `stat:"write_total_buffered"` // bytes waiting
}

// Files is the access log files of a process, by path. Its methods may be called
// from any goroutine.
type Files struct {
	// Every is how long lines wait at most, and At how many bytes do; set before
	// the first Open. (Envoy: --file-flush-interval-msec, --file-flush-min-size-kb.)
	Every time.Duration
	At    int

	stats *Stats
	kick  chan struct{} // wakes Run before the interval is over

	mu      sync.Mutex
	byPath  map[string]*writer // guarded by mu, like all below
	running bool               // Run writes; otherwise who logs does
}

// NewFiles makes an empty set; sc is the root of all statistics.
func NewFiles(sc *stats.Scope) *Files {
	return &Files{
		Every:  flushEvery,
		At:     flushAt,
		stats:  stats.Fill[Stats](sc.Scope("filesystem")),
		kick:   make(chan struct{}, 1),
		byPath: map[string]*writer{},
	}
}

// Open gives the sink of a path; the file is made if need be, and lines are
// appended. /dev/stdout and /dev/stderr are our own streams. Whoever opens the
// same path shares one writer.
func (f *Files) Open(path string) (filters.Sink, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.byPath[path]; w != nil {
		return w, nil
	}
	w := &writer{path: path, stats: f.stats, at: f.At, kick: f.kick, buffering: f.running, used: time.Now()}
	switch path {
	case "/dev/stdout":
		w.file, w.ours = os.Stdout, true
	case "/dev/stderr":
		w.file, w.ours = os.Stderr, true
	default:
		if err := w.open(); err != nil {
			return nil, fmt.Errorf("access log: %w", err)
		}
	}
	w.direct = isTerminal(w.file)
	f.byPath[path] = w
	return w, nil
}

// Reopen opens every file again, after what waits for it was written to the old
// one: for log rotation.
func (f *Files) Reopen() {
	for _, w := range f.writers() {
		w.reopen()
	}
}

// Run writes what the files have gathered, at each interval and whenever one has
// gathered enough, until ctx ends; then it writes the rest, and from then on
// lines are written by whoever logs.
func (f *Files) Run(ctx context.Context) error {
	f.buffer(true)
	t := time.NewTicker(f.Every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			f.buffer(false)
			return nil
		case <-f.kick:
			for _, w := range f.writers() {
				w.flush(f.At)
			}
		case now := <-t.C:
			for _, w := range f.writers() {
				if w.flush(1) {
					f.stats.FlushedByTime.Inc()
				}
				w.closeIdle(now)
			}
		}
	}
}

// buffer says whether lines are gathered; when they no longer are, what was
// gathered is written.
func (f *Files) buffer(on bool) {
	f.mu.Lock()
	f.running = on
	f.mu.Unlock()
	for _, w := range f.writers() {
		w.setBuffering(on)
	}
}

func (f *Files) writers() []*writer {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]*writer, 0, len(f.byPath))
	for _, w := range f.byPath {
		out = append(out, w)
	}
	return out
}
