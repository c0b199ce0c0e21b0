package netio

import (
	"context"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A Watcher tells when the peers of idle sockets hang up, so that a pool never
// hands out a connection whose server has closed it, without a system call per
// use: a socket is added once, edge-triggered and for hang-ups only, and the
// kernel wakes the Watcher for nothing else.
type Watcher struct {
	ep  *os.File
	raw syscall.RawConn

	mu   sync.Mutex
	gen  int32
	byFd map[int32]watched // guarded by mu
}

type watched struct {
	gen int32
	s   *Socket
}

// NewWatcher makes a Watcher; Run must be running for it to see anything.
func NewWatcher() (*Watcher, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	f := os.NewFile(uintptr(fd), "epoll")
	raw, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, err
	}
	return &Watcher{ep: f, raw: raw, byFd: map[int32]watched{}}, nil
}

// Run reports hang-ups until ctx ends, then closes the Watcher. An epoll
// descriptor is itself readable when it has events, so Run waits in the runtime's
// poller and holds no thread.
func (w *Watcher) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { w.ep.Close() })
	defer stop()
	defer w.ep.Close()
	var events [64]unix.EpollEvent
	for {
		n := 0
		err := w.raw.Read(func(fd uintptr) bool {
			for {
				var err error
				if n, err = unix.EpollWait(int(fd), events[:], 0); err != unix.EINTR {
					return err != nil || n > 0
				}
			}
		})
		if err != nil {
			return ctx.Err()
		}
		for _, ev := range events[:max(n, 0)] {
			w.hangup(ev.Fd, ev.Pad)
		}
	}
}

// Add watches a socket from now on; f, if not nil, is called once, on the
// Watcher's goroutine, when the peer closes its direction or the connection
// breaks. It may have happened already.
func (w *Watcher) Add(s *Socket, f func()) error {
	if f != nil {
		s.onHangup.Store(&f)
	}
	if _, ok := s.d.(*loopFD); ok {
		// Its loop sees it; perhaps it has already.
		return s.d.Control(func(uintptr) {
			if s.HungUp() {
				s.hangUp()
			}
		})
	}
	var err error
	cerr := s.d.Control(func(fd uintptr) {
		w.mu.Lock()
		w.gen++
		gen := w.gen
		w.byFd[int32(fd)] = watched{gen, s}
		w.mu.Unlock()
		err = w.raw.Control(func(ep uintptr) {
			ev := unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR | uint32(unix.EPOLLET&0xffffffff), Fd: int32(fd), Pad: gen}
			err = unix.EpollCtl(int(ep), unix.EPOLL_CTL_ADD, int(fd), &ev)
		})
	})
	if cerr != nil {
		return cerr
	}
	return err
}

// Forget drops what the Watcher knows of a socket that is about to be closed;
// the kernel forgets it by itself at the close.
func (w *Watcher) Forget(s *Socket) {
	s.onHangup.Store(nil)
	if _, ok := s.d.(*loopFD); ok {
		return
	}
	_ = s.d.Control(func(fd uintptr) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.byFd[int32(fd)].s == s {
			delete(w.byFd, int32(fd))
		}
	})
}

// hangup handles one event; the generation tells a reused descriptor number
// from the socket the event was meant for.
func (w *Watcher) hangup(fd, gen int32) {
	w.mu.Lock()
	e := w.byFd[fd]
	w.mu.Unlock()
	if e.s == nil || e.gen != gen {
		return
	}
	e.s.hangUp()
}
