package filewatch

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMovedLast(t *testing.T) {
	event := func(mask uint32, name string) []byte {
		b := make([]byte, unix.SizeofInotifyEvent)
		binary.NativeEndian.PutUint32(b[4:], mask)
		binary.NativeEndian.PutUint32(b[12:], uint32(len(name)))
		return append(b, name...)
	}
	for name, c := range map[string]struct {
		events []byte
		want   bool
	}{
		"none":            {nil, false},
		"cut":             {event(unix.IN_MOVED_TO, "x")[:10], false},
		"moved":           {event(unix.IN_MOVED_TO, "name"), true},
		"written, moved":  {append(event(unix.IN_CLOSE_WRITE, "a"), event(unix.IN_MOVED_TO, "bc")...), true},
		"moved, written":  {append(event(unix.IN_MOVED_TO, "a"), event(unix.IN_MODIFY, "b")...), false},
		"a name too long": {append(event(unix.IN_MOVED_TO, "a"), 1), true},
	} {
		if got := movedLast(c.events); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestMoveIsToldAtOnce: every move is told.
func TestMoveIsToldAtOnce(t *testing.T) {
	dir := t.TempDir()
	w, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	w.Moves = true
	if err := w.Watch(dir); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "file")); err != nil {
			t.Fatal(err)
		}
		if err := w.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
