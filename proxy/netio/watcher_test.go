package netio

import (
	"context"
	"testing"
)

// watcher is a Watcher under Run.
func watcher(t *testing.T) *Watcher {
	t.Helper()
	w, err := NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

func TestWatcherTellsOfHangUps(t *testing.T) {
	w := watcher(t)
	for name, hangUp := range map[string]func(*Socket) error{"half-close": (*Socket).CloseWrite, "close": (*Socket).Close, "reset": (*Socket).Reset} {
		a, b := tcpPair(t)
		hung := make(chan struct{})
		if err := w.Add(a, func() { close(hung) }); err != nil {
			t.Fatal(err)
		}
		write(t, b, "bytes are no hang-up")
		if a.HungUp() {
			t.Error("hung up too early")
		}
		if err := hangUp(b); err != nil {
			t.Fatal(name, err)
		}
		<-hung
		if !a.HungUp() {
			t.Errorf("%s: not seen", name)
		}
		w.Forget(a)
	}
}

func TestWatcherKnowsAHangUpThatWasBefore(t *testing.T) {
	w := watcher(t)
	a, b := tcpPair(t)
	if err := b.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	read(t, a, 0)
	hung := make(chan struct{})
	if err := w.Add(a, func() { close(hung) }); err != nil {
		t.Fatal(err)
	}
	<-hung
}

func TestWatcherTakesADescriptorsNumberAgain(t *testing.T) {
	if loops != nil {
		t.Skip("sockets on loops are not the Watcher's")
	}
	w := watcher(t)
	for range 50 {
		a, b := socketpair(t)
		if err := w.Add(a, nil); err != nil {
			t.Fatal(err)
		}
		w.Forget(a)
		a.Close()
		b.Close()
	}
	a, b := socketpair(t)
	hung := make(chan struct{})
	if err := w.Add(a, func() { close(hung) }); err != nil {
		t.Fatal(err)
	}
	b.Close()
	<-hung
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.byFd) != 1 {
		t.Errorf("%d sockets are known, want 1", len(w.byFd))
	}
}

func TestWatcherRefusesClosedSockets(t *testing.T) {
	w := watcher(t)
	a, _ := socketpair(t)
	a.Close()
	if err := w.Add(a, nil); err == nil {
		t.Error("added a closed socket")
	}
}
