package filewatch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type rig struct {
	*Watcher
	t   *testing.T
	dir string
}

func newRig(t *testing.T) *rig {
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{w, t, t.TempDir()}
}

func (r *rig) at(name string) string { return filepath.Join(r.dir, name) }

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// changed waits for a change that do makes.
func (r *rig) changed(what string, do func()) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 10*time.Second)
	defer cancel()
	do()
	if err := r.Next(ctx); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// silent says that nothing was changed that is watched.
func (r *rig) silent(what string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 2*Quiet)
	defer cancel()
	if err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		r.t.Fatalf("%s: %v", what, err)
	}
}

func TestChanges(t *testing.T) {
	r := newRig(t)
	r.must(r.Watch(r.dir, r.dir))
	r.silent("nothing")
	r.changed("write", func() { r.must(os.WriteFile(r.at("a"), []byte("1"), 0o600)) })
	r.silent("a change is told once")
	r.changed("write in place", func() { r.must(os.WriteFile(r.at("a"), []byte("2"), 0o600)) })
	r.changed("rename over", func() {
		r.must(os.WriteFile(r.at("b"), []byte("3"), 0o600))
		r.must(os.Rename(r.at("b"), r.at("a")))
	})
	r.changed("remove", func() { r.must(os.Remove(r.at("a"))) })
}

// The name of a folder that is a link leads to another folder after a swap: that is the one to watch then.
func TestLinkSwap(t *testing.T) {
	r := newRig(t)
	for _, d := range []string{"v1", "v2"} {
		r.must(os.Mkdir(r.at(d), 0o700))
	}
	swap := func(to string) {
		r.must(os.Symlink(to, r.at("new")))
		r.must(os.Rename(r.at("new"), r.at("now")))
	}
	swap("v1")
	dirs := []string{r.dir, r.at("now")}
	r.must(r.Watch(dirs...))
	r.changed("swap", func() { swap("v2") })
	r.must(r.Watch(dirs...))
	r.changed("behind the link", func() { r.must(os.WriteFile(r.at("v2/f"), nil, 0o600)) })
	r.must(os.WriteFile(r.at("v1/f"), nil, 0o600))
	r.silent("where the link led before")
	r.changed("the old folder goes", func() { r.must(os.RemoveAll(r.at("v1"))) })
	r.must(r.Watch())
	r.must(os.WriteFile(r.at("v2/f"), []byte("x"), 0o600))
}

// A folder that is not there is named, and the others are watched.
func TestMissingFolder(t *testing.T) {
	r := newRig(t)
	if err := r.Watch(r.at("none"), r.dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	r.changed("the other", func() { r.must(os.Mkdir(r.at("none"), 0o700)) })
	r.must(r.Watch(r.at("none"), r.dir))
}

// Folders that are never quiet hold a change back no longer than Longest.
func TestNoisyFolder(t *testing.T) {
	r := newRig(t)
	r.must(r.Watch(r.dir))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := os.WriteFile(r.at("noise"), nil, 0o600); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	begin := time.Now()
	r.changed("noise", func() {})
	if d := time.Since(begin); d > 5*Longest {
		t.Errorf("told after %v", d)
	}
	cancel()
	<-done
}

// TestAnEndInterruptsItsOwnCallOnly ends many calls from outside: none of them may
// be heard by the call after it.
func TestAnEndInterruptsItsOwnCallOnly(t *testing.T) {
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Watch(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		ctx, cancel := context.WithCancel(t.Context())
		go cancel()
		if err := w.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
}
