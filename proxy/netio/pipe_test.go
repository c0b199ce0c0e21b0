package netio

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeIsLikeASocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(4)
		go func() {
			if n, err := a.Writev([]byte("hello "), []byte("world")); n != 11 || err != nil {
				t.Error(n, err)
			}
			if err := a.CloseWrite(); err != nil {
				t.Error(err)
			}
		}()
		if got, err := io.ReadAll(b); string(got) != "hello world" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		write(t, b, "yes")
		if got := read(t, a, 3); got != "yes" {
			t.Error(got)
		}
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
		if _, err := a.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		if err := b.Close(); !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestPipeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(0)
		write(t, a, "last")
		if err := a.Reset(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, b, 4); got != "last" {
			t.Error(got)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
	})
}

func TestPipeDeadlineWakesAWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(1)
		defer a.Close()
		defer b.Close()
		start := time.Now()
		time.AfterFunc(time.Second, func() { _ = a.SetReadDeadline(time.Now().Add(time.Second)) })
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Second {
			t.Error(err, time.Since(start))
		}
		if err := a.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := a.Write([]byte("xyz")); n != 1 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(n, err)
		}
	})
}
