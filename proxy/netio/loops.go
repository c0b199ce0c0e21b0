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
}

// NewLoops makes n loops; Run must be running for their sockets to wake up.
func NewLoops(n int) (*Loops, error) {
	l := new(Loops)
	for i := range n {
		p, err := newLoop()
		if err != nil {
			l.close()
			return nil, err
		}
		p.number = i
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

// NewSocket is the package's NewSocket on the given loop.
func (l *Loops) NewSocket(fd int, local, remote netip.AddrPort, loop int) (*Socket, error) {
	if l == nil {
		return NewSocket(fd, local, remote)
	}
	loop %= len(l.loops)
	s := makeSocket(nil, local, remote)
	s.loop = loop
	d, err := l.add(loop, fd, s)
	if err != nil {
		return nil, err
	}
	s.d = d
	return s, nil
}

// add puts a descriptor on a loop; the socket it belongs to, if any, hears of
// hang-ups.
func (l *Loops) add(loop, fd int, owner *Socket) (*loopFD, error) {
	d := &loopFD{fd: fd, loop: l.loops[loop], owner: owner, r: newSide(), w: newSide()}
	d.refs.Store(1)
	if err := d.loop.add(d); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return d, nil
}

// Balance gives the loop for a connection that was accepted on one: that, unless
// it has clearly more than another. Ended gives the place back.
func (l *Loops) Balance(loop int) int {
	if l == nil {
		return 0
	}
	loop %= len(l.loops)
	least := loop
	for i, p := range l.loops {
		if p.conns.Load() < l.loops[least].conns.Load() {
			least = i
		}
	}
	if n := l.loops[least].conns.Load(); l.loops[loop].conns.Load() > n+n/8+1 {
		loop = least
	}
	l.loops[loop].conns.Add(1)
	return loop
}

// Ended says that a connection is over that Balance found a loop for.
func (l *Loops) Ended(loop int) {
	if l != nil {
		l.loops[loop].conns.Add(-1)
	}
}

// A loop is one epoll set and the goroutine that serves it.
type loop struct {
	ep, bell int           // bell is an eventfd that wakes run
	number   int           // of this loop
	conns    atomic.Int64  // downstream connections
	ending   atomic.Bool   // the bell means that run ends
	answers  atomic.Uint64 // how often the bell was heard

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
	p.ending.Store(true)
	p.ring()
}

func (p *loop) ring() {
	one := [8]byte{7: 1}
	_, _ = unix.Write(p.bell, one[:])
}

// heard takes the bell's ringing back; it tells whether run goes on.
func (p *loop) heard() bool {
	var n [8]byte
	_, _ = unix.Read(p.bell, n[:])
	p.answers.Add(1)
	return !p.ending.Load()
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
			woken[i] = nil
			if ev.Fd == bellPlace {
				if !p.heard() {
					p.mu.Unlock()
					return
				}
				continue
			}
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
