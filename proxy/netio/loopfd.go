package netio

import (
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A loopFD is a descriptor on a loop. It is closed when nobody is at work on it
// any more.
type loopFD struct {
	fd    int
	loop  *loop
	place int32
	owner *Socket
	refs  atomic.Int32 // those at work, and one until Close
	shut  atomic.Bool
	r, w  side
}

func (d *loopFD) acquire() bool {
	for {
		n := d.refs.Load()
		if n == 0 || d.shut.Load() {
			return false
		}
		if d.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (d *loopFD) release() {
	if d.refs.Add(-1) == 0 {
		d.loop.remove(d)
		unix.Close(d.fd)
	}
}

// happened takes what the kernel said of the descriptor.
func (d *loopFD) happened(ev uint32) {
	if ev&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		d.r.raise(hungUp)
		if d.owner != nil {
			d.owner.hangUp()
		}
	} else if ev&unix.EPOLLIN != 0 {
		d.r.raise(ready)
	}
	if ev&(unix.EPOLLOUT|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		d.w.raise(ready)
	}
}

// Read implements driver.
func (d *loopFD) Read(f func(fd uintptr) bool, drained *bool) error {
	if !d.acquire() {
		return os.ErrClosed
	}
	defer d.release()
	for {
		if err := d.r.await(); err != nil {
			return err
		}
		// Cleared before the look, so that what comes during it is not forgotten.
		d.r.clear(ready)
		if f(uintptr(d.fd)) {
			if drained == nil || !*drained {
				d.r.raise(ready)
			}
			return nil
		}
	}
}

// Write implements driver.
func (d *loopFD) Write(f func(fd uintptr) bool) error {
	if !d.acquire() {
		return os.ErrClosed
	}
	defer d.release()
	if err := d.w.failed(); err != nil {
		return err
	}
	for !f(uintptr(d.fd)) {
		d.w.clear(ready)
		if f(uintptr(d.fd)) { // room may have come before the bit was cleared
			return nil
		}
		if err := d.w.await(); err != nil {
			return err
		}
	}
	return nil
}

// Control implements driver.
func (d *loopFD) Control(f func(fd uintptr)) error {
	if !d.acquire() {
		return os.ErrClosed
	}
	defer d.release()
	f(uintptr(d.fd))
	return nil
}

// SetReadDeadline implements driver.
func (d *loopFD) SetReadDeadline(t time.Time) error { return d.r.setDeadline(t) }

// SetWriteDeadline implements driver.
func (d *loopFD) SetWriteDeadline(t time.Time) error { return d.w.setDeadline(t) }

// Close implements driver.
func (d *loopFD) Close() error {
	if d.shut.Swap(true) {
		return os.ErrClosed
	}
	d.r.close()
	d.w.close()
	d.release()
	return nil
}
