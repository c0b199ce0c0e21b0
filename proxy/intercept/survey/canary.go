package survey

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The canary's link, for as long as it sings: a subnet for measurements within
// networks (RFC 2544 §C.2.2, 198.18.0.0/15), and a unique local one (RFC 4193).
const (
	CanaryLink = "weir-canary"

	canaryNear4, canaryFar4 = "198.18.87.1/30", "198.18.87.2/30"
	canaryNear6, canaryFar6 = "fd57:6569:7200::1/64", "fd57:6569:7200::2/64"

	canaryWait = 3 * time.Second
)

// CanaryResult is what became of a connection that was made as a client would.
type CanaryResult struct {
	To   string `json:"to"`
	From string `json:"from"`
	// Link is the interface that it came in by.
	Link string `json:"link"`
	// Error is why it was not made; "" when it was.
	Error string `json:"error,omitempty"`
	// Taken is whether it met a transparent socket of this machine.
	Taken bool `json:"taken"`
}

// Canary connects to an address as a client behind this machine would: from a
// network namespace of its own, through a link that is added for it and removed
// again. It needs CAP_SYS_ADMIN and CAP_NET_ADMIN.
//
// Rules that are limited to some interfaces leave its link alone; the caller looks
// at that.
func Canary(ctx context.Context, to netip.AddrPort) (*CanaryResult, error) {
	home, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	defer func() { _ = unix.Close(home) }()
	near, far := canaryNear4, canaryFar4
	if to.Addr().Is6() {
		near, far = canaryNear6, canaryFar6
	}
	r := &CanaryResult{To: to.String(), From: netip.MustParsePrefix(far).Addr().String(), Link: CanaryLink}

	bird := &bird{ready: make(chan int, 1), linked: make(chan bool, 1), sang: make(chan error, 1), heard: make(chan struct{})}
	go bird.live(ctx, r, near, far, to)
	ns := <-bird.ready
	if ns < 0 {
		return nil, <-bird.sang
	}
	defer func() { _ = unix.Close(ns) }()
	err = addCanary(ns, near)
	bird.linked <- err == nil
	if err != nil {
		return nil, err
	}
	err = <-bird.sang
	if err == nil && r.Error == "" {
		var sockets []Socket
		sockets, err = Sockets()
		r.Taken = slices.ContainsFunc(sockets, func(s Socket) bool {
			return s.State != Listen && s.Remote.Addr().String() == r.From && s.Local.String() == r.To
		})
	}
	close(bird.heard)
	if l, lerr := netlink.LinkByName(CanaryLink); lerr == nil {
		if derr := netlink.LinkDel(l); derr != nil && err == nil {
			err = fmt.Errorf("remove %s: %w", CanaryLink, derr)
		}
	}
	return r, err
}

// bird is the client's side of a canary.
type bird struct {
	ready  chan int      // its namespace, or -1 and an error in sang
	linked chan bool     // whether the link is there
	sang   chan error    // the connection was tried
	heard  chan struct{} // closed when it may end
}

// live runs on a thread that ends with it, and with which its namespace ends.
func (b *bird) live(ctx context.Context, r *CanaryResult, near, far string, to netip.AddrPort) {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		b.sang <- fmt.Errorf("make a network namespace for the canary: %w", err)
		b.ready <- -1
		return
	}
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		b.sang <- fmt.Errorf("open the canary's network namespace: %w", err)
	}
	b.ready <- ns
	if err != nil || !<-b.linked {
		return
	}
	c, err := sing(ctx, far, near, to)
	if err != nil {
		r.Error = err.Error()
	}
	b.sang <- nil
	<-b.heard
	if c != nil {
		_ = c.Close()
	}
}

// addCanary adds the link in the namespace of the calling thread, its other end in ns.
func addCanary(ns int, near string) error {
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: CanaryLink}, PeerName: "eth0", PeerNamespace: netlink.NsFd(ns)}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("add %s: %w", CanaryLink, err)
	}
	if err := setUp(CanaryLink, near); err != nil {
		_ = netlink.LinkDel(veth)
		return err
	}
	return nil
}

func setUp(name, addr string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	p := netip.MustParsePrefix(addr)
	a := &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return fmt.Errorf("add %s to %s: %w", addr, name, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// sing connects from the namespace of the calling thread.
func sing(ctx context.Context, far, near string, to netip.AddrPort) (net.Conn, error) {
	if err := setUp("eth0", far); err != nil {
		return nil, err
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: netip.MustParsePrefix(near).Addr().AsSlice()}); err != nil {
		return nil, fmt.Errorf("add the canary's route: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, canaryWait)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", to.String())
		if err == nil || !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EADDRNOTAVAIL) {
			return c, err
		}
		select { // the kernel makes IPv6 routes when it has seen the carrier
		case <-ctx.Done():
			return nil, err
		case <-tick.C:
		}
	}
}
