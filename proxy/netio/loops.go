package netio

import (
	"context"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Loops are event loops of our own, one a core: each has an epoll set and a
// goroutine that waits for its events and wakes the goroutines of the sockets.
//
// Beside the runtime's poller they know more: they remember an event until
// somebody has looked, so that no read has to ask in vain first, and that a pooled
// connection is quiet is known without asking. They see hang-ups too, so that such
// sockets need no Watcher.
//
// Sockets made by a nil *Loops are on the runtime's poller.
type Loops struct {
	loops []*loop
	next  atomic.Uint32
}

// NewLoops makes n loops; Run must be running for their sockets to wake up.
func NewLoops(n int) (*Loops, error) {
	l := new(Loops)
	for range n {
		p, err := newLoop()
		if err != nil {
			l.close()
			return nil, err
		}
		l.loops = append(l.loops, p)
	}
	return l, nil
}

// Run serves the loops until ctx ends. Sockets that are still open then never wake
// up again, but for deadlines and Close.
func (l *Loops) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, p := range l.loops {
		wg.Go(p.run)
	}
	<-ctx.Done()
	for _, p := range l.loops {
		p.stop()
	}
	wg.Wait()
	l.close()
}

func (l *Loops) close() {
	for _, p := range l.loops {
		unix.Close(p.ep)
		unix.Close(p.bell)
	}
}

// NewSocket is the package's NewSocket on the loop whose turn it is.
func (l *Loops) NewSocket(fd int, local, remote netip.AddrPort) (*Socket, error) {
	if l == nil {
		return NewSocket(fd, local, remote)
	}
	return l.newSocketOn(int(l.next.Add(1)%uint32(len(l.loops))), fd, local, remote)
}

// newSocketOn is NewSocket on a given loop.
func (l *Loops) newSocketOn(at, fd int, local, remote netip.AddrPort) (*Socket, error) {
	if l == nil {
		return NewSocket(fd, local, remote)
	}
	p := l.loops[at%len(l.loops)]
	d := &loopFD{fd: fd, loop: p, r: newSide(), w: newSide()}
	d.refs.Store(1)
	s := makeSocket(d, local, remote)
	s.loop = at % len(l.loops)
	d.owner = s
	if err := p.add(d); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return s, nil
}

// A loop is one epoll set and the goroutine that serves it.
type loop struct {
	ep, bell int // bell is an eventfd that ends run

	mu    sync.Mutex
	table []entry // guarded by mu, like free
	free  []int32
}

// entry is a place in the loop's table; gen tells its users apart in time.
type entry struct {
	d   *loopFD
	gen int32
}

// bellPlace is the bell's place, which no socket has.
const bellPlace = -1

func newLoop() (*loop, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	bell, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(ep)
		return nil, os.NewSyscallError("eventfd", err)
	}
	if err := unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, bell, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: bellPlace}); err != nil {
		unix.Close(ep)
		unix.Close(bell)
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return &loop{ep: ep, bell: bell}, nil
}

func (p *loop) stop() {
	one := [8]byte{7: 1}
	_, _ = unix.Write(p.bell, one[:])
}

// both directions, edge-triggered: each event is told once.
const interest = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff

// add puts a descriptor into the set; its first event says what it is ready for.
func (p *loop) add(d *loopFD) error {
	p.mu.Lock()
	if n := len(p.free); n > 0 {
		d.place, p.free = p.free[n-1], p.free[:n-1]
	} else {
		d.place = int32(len(p.table))
		p.table = append(p.table, entry{})
	}
	e := &p.table[d.place]
	e.d = d
	e.gen++
	ev := unix.EpollEvent{Events: interest, Fd: d.place, Pad: e.gen}
	p.mu.Unlock()
	if err := unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, d.fd, &ev); err != nil {
		p.remove(d)
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

func (p *loop) remove(d *loopFD) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.table[d.place].d = nil
	p.free = append(p.free, d.place)
}

// run waits for events and tells the sockets, until the bell rings.
func (p *loop) run() {
	var events [128]unix.EpollEvent
	var woken [128]*loopFD
	for {
		n, _, errno := syscall.Syscall6(unix.SYS_EPOLL_PWAIT, uintptr(p.ep), uintptr(unsafe.Pointer(&events)), uintptr(len(events)), ^uintptr(0), 0, 0)
		if errno != 0 {
			if errno == unix.EINTR {
				continue
			}
			return // the set is gone
		}
		p.mu.Lock()
		for i := range events[:n] {
			ev := &events[i]
			if ev.Fd == bellPlace {
				p.mu.Unlock()
				return
			}
			woken[i] = nil
			if e := p.table[ev.Fd]; e.gen == ev.Pad {
				woken[i] = e.d
			}
		}
		p.mu.Unlock()
		for i, d := range woken[:n] {
			if d != nil {
				d.happened(events[i].Events)
			}
		}
		// Those that were woken run first, and then all of what they did is waited for
		// at once.
		runtime.Gosched()
	}
}
