package intercept

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// redirected starts the gateway's listener for Redirect plans, which is not
// transparent: it says what connection tracking knows of the destination.
func (r *rig) redirected() net.Listener {
	return r.answer(r.Gateway, nil, fmt.Sprintf(":%d", proxyPort), func(c net.Conn) string {
		return "proxy " + askOriginalDst(c.(*net.TCPConn)).String() + " from " + hostOf(c.RemoteAddr())
	})
}

// askOriginalDst asks with SO_ORIGINAL_DST.
func askOriginalDst(c *net.TCPConn) (dst netip.AddrPort) {
	raw, err := c.SyscallConn()
	if err != nil {
		return dst
	}
	local := netip.MustParseAddrPort(c.LocalAddr().String()).Addr()
	_ = raw.Control(func(fd uintptr) {
		var sa unix.RawSockaddrInet6 // the longer one
		level, n := unix.SOL_IPV6, uint32(unsafe.Sizeof(sa))
		if local.Unmap().Is4() {
			level = unix.SOL_IP
		}
		if _, _, e := syscall.Syscall6(syscall.SYS_GETSOCKOPT, fd, uintptr(level), 80, uintptr(unsafe.Pointer(&sa)), uintptr(unsafe.Pointer(&n)), 0); e != 0 {
			return
		}
		port := (*[2]byte)(unsafe.Pointer(&sa.Port))
		ip := netip.AddrFrom16(sa.Addr)
		if sa.Family == unix.AF_INET {
			ip = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sa)).Addr)
		}
		dst = netip.AddrPortFrom(ip, uint16(port[0])<<8|uint16(port[1]))
	})
	return dst
}

func TestRedirectRewritesAndIsUndone(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 22, 80, 81)
		before := r.state()
		r.redirected()
		p := Plan{Backend: b, ListenPort: proxyPort, Redirect: true, Local: true, ExcludePorts: []PortRange{Port(81)}}
		h := r.apply(p, Resident)
		for _, v6 := range []bool{false, true} {
			server, client, gateway := r.ServerAddr4(), r.ClientAddr4(), netip.MustParseAddr("10.91.2.1")
			if v6 {
				server, client, gateway = r.ServerAddr6(), r.ClientAddr6(), netip.MustParseAddr("fd91:2::1")
			}
			for _, c := range []struct {
				name string
				from *netns.NS
				d    *net.Dialer
				port uint16
				want string
			}{
				{"gateway", r.Client, nil, 80, fmt.Sprintf("proxy %s from %s", netip.AddrPortFrom(server, 80), client)},
				{"gateway, excluded port", r.Client, nil, 81, "server"},
				{"gateway, ssh", r.Client, nil, 22, "server"},
				{"local", r.Gateway, nil, 80, fmt.Sprintf("proxy %s from %s", netip.AddrPortFrom(server, 80), gateway)},
				{"local, excluded port", r.Gateway, nil, 81, "server"},
				{"local, own socket", r.Gateway, &net.Dialer{Control: ownMark}, 80, "server"},
			} {
				if got := r.get(c.from, c.d, netip.AddrPortFrom(server, c.port)); got != c.want {
					t.Errorf("%s: got %q, want %q", c.name, got, c.want)
				}
			}
		}
		if got := r.verify(p); got != nil {
			t.Errorf("verify: %v", got)
		}
		if s := r.status(DefaultName); s.Intercepted() != 4 {
			t.Errorf("%d intercepted, want 4: %+v", s.Intercepted(), s)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if after := r.state(); after != before {
			t.Errorf("state after Close:\n%s\nbefore:\n%s", after, before)
		}
		if got := r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr4(), 80)); got != "server" {
			t.Errorf("after Close: got %q", got)
		}
	})
}

// TestWithoutALeaseConnectionsPass holds every kind of rules that need a lease to
// letting connections pass while nobody has it, and to taking them again.
func TestWithoutALeaseConnectionsPass(t *testing.T) {
	for _, b := range testBackends(t) {
		for _, c := range []struct {
			name string
			p    Plan
		}{
			{"tproxy", Plan{Lease: true}},
			{"tproxy-local", Plan{Local: true}},
			{"redirect", Plan{Redirect: true}},
			{"redirect-local", Plan{Redirect: true, Local: true}},
		} {
			t.Run(b.String()+"/"+c.name, func(t *testing.T) {
				r := newRig(t, 80)
				c.p.ListenPort, c.p.Backend = proxyPort, b
				h, err := r.tryApply(c.p, Resident)
				if err != nil {
					t.Fatal(err)
				}
				defer h.Close()
				var where []*netns.NS
				if where = append(where, r.Client); c.p.Local {
					where = append(where, r.Gateway)
				}
				pass := func(when string) {
					t.Helper()
					for _, ns := range where {
						for _, a := range []netip.Addr{r.ServerAddr4(), r.ServerAddr6()} {
							if got := r.get(ns, nil, netip.AddrPortFrom(a, 80)); got != "server" {
								t.Errorf("%s: %s from %s: got %q, want the server", when, a, ns.Name, got)
							}
						}
					}
				}
				taken := func(when string) {
					t.Helper()
					for _, ns := range where {
						for _, a := range []netip.Addr{r.ServerAddr4(), r.ServerAddr6()} {
							if err := h.Renew(); err != nil {
								t.Fatal(err)
							}
							if got := r.get(ns, nil, netip.AddrPortFrom(a, 80)); len(got) < 5 || got[:5] != "proxy" {
								t.Errorf("%s: %s from %s: got %q, want the proxy", when, a, ns.Name, got)
							}
						}
					}
				}
				pass("nothing listens")
				if c.p.Redirect {
					r.redirected()
				} else {
					r.proxy()
				}
				pass("before the first lease")
				if got := r.verify(c.p); len(got) != 1 || got[0] != "lease-expired" {
					t.Errorf("verify without a lease: %v", got)
				}
				do := func(f func() error) {
					t.Helper()
					if err := f(); err != nil {
						t.Fatal(err)
					}
				}
				taken("with a lease")
				if got := r.verify(c.p); got != nil {
					t.Errorf("verify with a lease: %v", got)
				}
				do(h.Renew)
				do(func() error { return h.Reapply(c.p) })
				if got := r.verify(c.p); got != nil {
					t.Errorf("verify after the rules were replaced, which keeps the lease: %v", got)
				}
				do(h.Expire)
				pass("the lease was given up")
				taken("with a lease again")
				if b != NFT || !c.p.Redirect || c.p.Local {
					return // the time is the kernel's; see also TestTheLeaseEndsWhenTheGuardIsKilledToo
				}
				// A holder that stops, or dies, renews no more.
				ctx, cancel := context.WithTimeout(t.Context(), 5*LeaseTime)
				defer cancel()
				r.until(ctx, "the lease has expired", func() bool {
					return r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr4(), 80)) == "server"
				})
				pass("the lease has expired")
			})
		}
	}
}
