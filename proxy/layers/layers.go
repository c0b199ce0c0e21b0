// Package layers keeps the runtime layers (Envoy: runtime): it reads those on disk and again when they change, takes those of a control
// plane from snapshots and those of operators from the admin interface, and puts the values in force.
//
// The values themselves, and how they are read, are config/runtime.
package layers

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/filewatch"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/stats"
)

// Stats are about the layers, under runtime. (Envoy: runtime statistics).
type Stats struct {
	LoadSuccess    *stats.Counter `stat:"load_success"`                                // snapshots of which every layer could be read
	LoadError      *stats.Counter `stat:"load_error"`                                  // … and not
	OverrideExists *stats.Counter `stat:"override_dir_exists"`                         // snapshots with more than one layer on disk
	OverrideAbsent *stats.Counter `stat:"override_dir_not_exists"`                     // … and with fewer
	DeprecatedUse  *stats.Counter `stat:"deprecated_feature_use"`                      // always 0: every supported field may be used
	DeprecatedSeen *stats.Gauge   `stat:"deprecated_feature_seen_since_process_start"` // likewise
	Keys           *stats.Gauge   `stat:"num_keys"`
	Layers         *stats.Gauge   `stat:"num_layers"`
	AdminActive    *stats.Gauge   `stat:"admin_overrides_active"` // 1 when an operator has set a value
}

// Options are what a Loader needs.
type Options struct {
	Log      *zap.Logger
	Stats    *stats.Scope // the root of all statistics
	Layers   []bootstrap.RuntimeLayer
	Registry *runtime.Registry // takes the values
}

// A Loader keeps the layers.
type Loader struct {
	// set in New, never changed
	o     Options
	stats *Stats

	mu    sync.Mutex
	snap  *config.Snapshot          // the last one applied; guarded by mu, like all below
	admin map[string]*runtime.Value // never changed
	disks []disk                    // by layer; those of other kinds are empty
	told  map[string]bool           // keys that were told to have no effect
}

// disk is a layer on disk.
type disk struct {
	folder *runtime.Folder // as last read well; nil while there is none
	err    string          // why it could not be read last
}

// New makes a Loader and puts what is here already in force.
func New(o Options) *Loader {
	l := &Loader{
		o: o, stats: stats.Fill[Stats](o.Stats.Scope("runtime")), snap: &config.Snapshot{},
		disks: make([]disk, len(o.Layers)), told: map[string]bool{},
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readDisks()
	l.store()
	return l
}

// Snapshot gives the values in force, by layer.
func (l *Loader) Snapshot() *runtime.Snapshot { return l.o.Registry.Snapshot() }

// Apply takes the layers of a control plane. Those that are as before cost nothing.
func (l *Loader) Apply(s *config.Snapshot) {
	l.mu.Lock()
	defer l.mu.Unlock()
	same := maps.Equal(l.snap.Runtime, s.Runtime)
	if l.snap = s; !same {
		l.store()
	}
}

// ErrNoAdminLayer says that the bootstrap has no layer that operators may change.
//
//lint:ignore ST1005 Envoy's words
var ErrNoAdminLayer = errors.New("No admin layer specified")

// Modify sets values of the admin layer; an empty one is taken out (Envoy: POST /runtime_modify).
func (l *Loader) Modify(values map[string]string) error {
	if !slices.ContainsFunc(l.o.Layers, func(b bootstrap.RuntimeLayer) bool { return b.Admin }) {
		return ErrNoAdminLayer
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	next := maps.Clone(l.admin)
	if next == nil {
		next = map[string]*runtime.Value{}
	}
	for k, v := range values {
		if v == "" {
			delete(next, k)
			continue
		}
		next[k] = runtime.ParseValue(v)
		l.o.Log.Info("runtime value set by an operator", zap.String("key", k), zap.String("value", v))
	}
	l.admin = next
	l.store()
	return nil
}

// store puts the layers as they are now in force.
func (l *Loader) store() {
	var out []*runtime.Layer
	onDisk, failed := 0, false
	for i, b := range l.o.Layers {
		switch {
		case b.Static != nil:
			out = append(out, b.Static)
		case b.Disk != nil:
			failed = failed || l.disks[i].err != ""
			if f := l.disks[i].folder; f != nil {
				onDisk++
				out = append(out, &runtime.Layer{Name: b.Name, Values: f.Values})
			}
		case b.Admin:
			out = append(out, &runtime.Layer{Name: b.Name, Values: l.admin})
		case b.RTDS != nil:
			layer := &runtime.Layer{Name: b.Name}
			if v := l.snap.RuntimeLayer(b.RTDS.Key()); v != nil {
				layer.Values = v.Values
			}
			out = append(out, layer)
		}
	}
	s := runtime.Merge(out)
	if failed {
		l.stats.LoadError.Inc()
	} else {
		l.stats.LoadSuccess.Inc()
	}
	if onDisk > 1 {
		l.stats.OverrideExists.Inc()
	} else {
		l.stats.OverrideAbsent.Inc()
	}
	l.stats.Keys.Set(int64(len(s.Final)))
	l.stats.Layers.Set(int64(len(s.Layers)))
	l.stats.AdminActive.Set(int64(min(len(l.admin), 1)))
	for _, k := range runtime.Unread(s.Final) {
		if !l.told[k.Name] {
			l.told[k.Name] = true
			l.o.Log.Warn("runtime value without effect", zap.String("key", k.Name), zap.String("why", k.Why))
		}
	}
	l.o.Registry.Store(s)
}

// readDisks reads the layers on disk and tells whether one of them changed. One that cannot be read keeps its last good values.
func (l *Loader) readDisks() (changed bool) {
	for i, b := range l.o.Layers {
		if b.Disk == nil {
			continue
		}
		d := &l.disks[i]
		f, err := runtime.ReadFolder(b.Disk.Dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			changed = changed || d.folder != nil || d.err != ""
			*d = disk{}
		case err != nil:
			if text := err.Error(); text != d.err {
				changed, d.err = true, text
				l.o.Log.Error("a runtime layer on disk cannot be read, its last good values are in force", zap.String("layer", b.Name), zap.Error(err))
			}
		default:
			if d.folder == nil || d.err != "" || !equal(d.folder.Values, f.Values) {
				changed = true
			}
			*d = disk{folder: f}
		}
	}
	return changed
}

func equal(a, b map[string]*runtime.Value) bool {
	return maps.EqualFunc(a, b, func(x, y *runtime.Value) bool { return x.Text == y.Text })
}

// poll is how often folders are looked at that cannot be watched.
const poll = 5 * time.Second

// Run reads layers on disk again when they change, until ctx ends.
func (l *Loader) Run(ctx context.Context) {
	if !slices.ContainsFunc(l.o.Layers, func(b bootstrap.RuntimeLayer) bool { return b.Disk != nil }) {
		return
	}
	w, err := filewatch.New()
	if err != nil {
		l.o.Log.Error("runtime layers on disk are not watched", zap.Error(err))
		return
	}
	defer func() { _ = w.Close() }()
	for ctx.Err() == nil {
		err := w.Watch(l.dirs()...)
		l.mu.Lock()
		if l.readDisks() {
			l.store()
		}
		l.mu.Unlock()
		wait, cancel := ctx, func() {}
		if err != nil {
			wait, cancel = context.WithTimeout(ctx, poll)
		}
		if err := w.Next(wait); err != nil && wait.Err() == nil {
			l.o.Log.Error("runtime layers on disk", zap.Error(err))
			pause, stop := context.WithTimeout(ctx, poll)
			<-pause.Done()
			stop()
		}
		cancel()
	}
}

// dirs are the folders whose changes count: those with values, and those through which their names lead.
func (l *Loader) dirs() (out []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, b := range l.o.Layers {
		if b.Disk == nil {
			continue
		}
		out = append(out, filewatch.Folders(filepath.Join(b.Disk.Dir, "value"))...)
		if f := l.disks[i].folder; f != nil {
			out = append(out, f.Dirs...)
		}
	}
	return out
}
