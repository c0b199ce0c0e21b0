package netio

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// A driver lets goroutines wait for a descriptor. There are two: the runtime's
// poller, which needs nothing, and Loops.
type driver interface {
	// Read calls f once the descriptor may be readable, again until it says that it
	// is done. drained, which may be nil, is set by f: all that was there was taken,
	// so that there is no need to look again before the next event.
	Read(f func(fd uintptr) bool, drained *bool) error
	// Write calls f until it is done, waiting for room in between.
	Write(f func(fd uintptr) bool) error
	// Control calls f once.
	Control(f func(fd uintptr)) error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// A runtimePoller is the driver on the poller of Go's runtime. Each read begins by
// asking the system, since the poller forgets then what it saw before.
type runtimePoller struct {
	f   *os.File
	raw syscall.RawConn
}

func newRuntimePoller(fd int) (*runtimePoller, error) {
	f := os.NewFile(uintptr(fd), "")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, os.NewSyscallError("socket", err)
	}
	return &runtimePoller{f, raw}, nil
}

// Read implements driver.
func (p *runtimePoller) Read(f func(uintptr) bool, _ *bool) error { return plain(p.raw.Read(f)) }

// Write implements driver.
func (p *runtimePoller) Write(f func(uintptr) bool) error { return plain(p.raw.Write(f)) }

// Control implements driver.
func (p *runtimePoller) Control(f func(uintptr)) error { return plain(p.raw.Control(f)) }

// SetReadDeadline implements driver.
func (p *runtimePoller) SetReadDeadline(t time.Time) error { return plain(p.f.SetReadDeadline(t)) }

// SetWriteDeadline implements driver.
func (p *runtimePoller) SetWriteDeadline(t time.Time) error { return plain(p.f.SetWriteDeadline(t)) }

// Close implements driver.
func (p *runtimePoller) Close() error {
	err := p.f.Close()
	if errors.Is(err, os.ErrClosed) {
		return os.ErrClosed
	}
	return err
}

// plain turns what os.File and the poller say of a socket into the errors that
// Conn promises: beside a deadline that passed, only a closed file keeps them from
// making the system call, and they have several errors for it.
func plain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	}
	return os.ErrClosed
}
