package layers_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/proxy/layers"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a loader and what it puts in force.
type world struct {
	t     *testing.T
	l     *layers.Loader
	r     *runtime.Registry
	store *stats.Store
}

func newWorld(t *testing.T, list ...bootstrap.RuntimeLayer) *world {
	w := &world{t: t, r: runtime.NewRegistry(), store: stats.NewStore()}
	w.l = layers.New(layers.Options{Log: zap.NewNop(), Stats: w.store.Scope(""), Layers: list, Registry: w.r})
	return w
}

// now prints the values in force.
func (w *world) now() string {
	s := w.l.Snapshot()
	var out []string
	for _, k := range slices.Sorted(maps.Keys(s.Final)) {
		out = append(out, k+"="+s.Final[k].Text)
	}
	return strings.Join(out, " ")
}

func (w *world) is(want string) {
	w.t.Helper()
	if got := w.now(); got != want {
		w.t.Errorf("in force: %s, want %s", got, want)
	}
}

// stat is runtime.<name>.
func (w *world) stat(name string, want int64) {
	w.t.Helper()
	if v, _ := w.store.Value("runtime." + name); v != want {
		w.t.Errorf("runtime.%s is %d, want %d", name, v, want)
	}
}

func static(name string, kv ...string) bootstrap.RuntimeLayer {
	return bootstrap.RuntimeLayer{Name: name, Static: layer(name, kv...)}
}

func layer(name string, kv ...string) *runtime.Layer {
	l := &runtime.Layer{Name: name, Values: map[string]*runtime.Value{}}
	for i := 0; i < len(kv); i += 2 {
		l.Values[kv[i]] = runtime.ParseValue(kv[i+1])
	}
	return l
}

func snapshot(layers ...*runtime.Layer) *config.Snapshot {
	s := &config.Snapshot{Runtime: map[string]*config.Resource{}}
	for _, l := range layers {
		s.Runtime[l.Name] = &config.Resource{Name: l.Name, Value: l}
	}
	return s
}

// A later layer overrides an earlier one, whatever its kind.
func TestLaterLayersOverride(t *testing.T) {
	w := newWorld(t,
		static("one", "a", "1", "b", "1", "c", "1", "d", "1"),
		bootstrap.RuntimeLayer{Name: "plane", RTDS: &extension.Ref{TypeURL: runtime.TypeURL, Name: "values"}},
		bootstrap.RuntimeLayer{Name: "admin", Admin: true},
		static("last", "d", "9"),
	)
	w.is("a=1 b=1 c=1 d=9")
	w.stat("num_keys", 4)
	w.stat("num_layers", 4)
	w.stat("load_success", 1)
	w.stat("admin_overrides_active", 0)

	s := snapshot(layer("values", "b", "2", "c", "2", "d", "2", "e", "2"))
	w.l.Apply(s)
	w.is("a=1 b=2 c=2 d=9 e=2")
	w.stat("load_success", 2)
	again := *s
	w.l.Apply(&again)
	w.stat("load_success", 2)

	if err := w.l.Modify(map[string]string{"c": "3", "d": "3", "f": "true"}); err != nil {
		t.Fatal(err)
	}
	w.is("a=1 b=2 c=3 d=9 e=2 f=true")
	w.stat("admin_overrides_active", 1)
	if err := w.l.Modify(map[string]string{"c": "", "f": "", "never": "", "d": ""}); err != nil {
		t.Fatal(err)
	}
	w.is("a=1 b=2 c=2 d=9 e=2")
	w.stat("admin_overrides_active", 0)

	w.l.Apply(snapshot())
	w.is("a=1 b=1 c=1 d=9")
	var names []string
	for _, l := range w.l.Snapshot().Layers {
		names = append(names, l.Name)
	}
	if !slices.Equal(names, []string{"one", "plane", "admin", "last"}) {
		t.Errorf("layers %q", names)
	}
}

func TestNoAdminLayer(t *testing.T) {
	w := newWorld(t, static("one", "a", "1"))
	if err := w.l.Modify(map[string]string{"a": "2"}); !errors.Is(err, layers.ErrNoAdminLayer) {
		t.Error(err)
	}
	w.is("a=1")
}

// Layers on disk are read again when a file changes in place, when the link to them is swapped, and when they come and go.
func TestDisk(t *testing.T) {
	root := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := func(to string) {
		t.Helper()
		if err := os.Symlink(to, filepath.Join(root, "new")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(root, "new"), filepath.Join(root, "now")); err != nil {
			t.Fatal(err)
		}
	}
	write("v1/base/a", "1")
	write("v1/base/deep/er", "x")
	write("v2/base/a", "2")
	write("v2/over/a", "22")
	link("v1")
	disk := func(name, sub string) bootstrap.RuntimeLayer {
		return bootstrap.RuntimeLayer{Name: name, Disk: &bootstrap.Disk{Root: filepath.Join(root, "now"), Dir: filepath.Join(root, "now", sub)}}
	}
	w := newWorld(t, disk("base", "base"), disk("over", "over"))
	w.is("a=1 deep.er=x")
	w.stat("num_layers", 1)
	w.stat("override_dir_exists", 0)
	w.stat("override_dir_not_exists", 1)

	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.l.Run(ctx) }()
	defer func() { cancel(); <-done }()
	becomes := func(want string) {
		t.Helper()
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(10 * time.Second); w.now() != want; <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("in force: %s, want %s", w.now(), want)
			}
		}
	}
	write("v1/base/deep/er", "y")
	becomes("a=1 deep.er=y")
	write("v1/base/deep/new/one", "1")
	becomes("a=1 deep.er=y deep.new.one=1")
	link("v2")
	becomes("a=22")
	w.stat("num_layers", 2)
	w.stat("override_dir_exists", 1)
	if err := os.RemoveAll(filepath.Join(root, "v2/over")); err != nil {
		t.Fatal(err)
	}
	becomes("a=2")
	write("v2/over/a", "23")
	becomes("a=23")
	link("v1")
	becomes("a=1 deep.er=y deep.new.one=1")

	// What cannot be read keeps its last good values.
	if err := os.Symlink(".", filepath.Join(root, "v1/base/loop")); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if v, _ := w.store.Value("runtime.load_error"); v > 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no load_error")
		}
	}
	w.is("a=1 deep.er=y deep.new.one=1")
}

// A key that is read follows every change.
func TestReaders(t *testing.T) {
	w := newWorld(t, bootstrap.RuntimeLayer{Admin: true})
	k := w.r.Key("a")
	for i := range uint64(3) {
		if err := w.l.Modify(map[string]string{"a": fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
		if got := k.Uint(99); got != i {
			t.Errorf("reads %d, want %d", got, i)
		}
	}
}
