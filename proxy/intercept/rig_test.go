package intercept

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// rig is a topology with a server that says "server", and, on the gateway, a
// transparent listener that says "proxy" and the destination it sees.
type rig struct {
	*netns.Topology
	t *testing.T
}

const proxyPort = 15001

func newRig(t *testing.T, ports ...int) *rig {
	t.Helper()
	t.Setenv("RUNTIME_DIRECTORY", t.TempDir())
	r := &rig{netns.Start(t, netns.Options{}), t}
	for _, port := range ports {
		r.answer(r.Server, nil, fmt.Sprintf(":%d", port), func(net.Conn) string { return "server" })
	}
	return r
}

// answer listens in ns and answers every connection with one line.
func (r *rig) answer(ns *netns.NS, lc *net.ListenConfig, addr string, line func(net.Conn) string) net.Listener {
	r.t.Helper()
	ln, err := ns.Listen(r.t.Context(), lc, "tcp", addr)
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, line(c))
			c.Close()
		}
	}()
	r.t.Cleanup(func() { ln.Close(); <-done })
	return ln
}

func transparent(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
		if err == nil {
			err = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
		}
	}); e != nil {
		return e
	}
	return err
}

// proxy starts the gateway's transparent listener.
func (r *rig) proxy() net.Listener {
	return r.answer(r.Gateway, &net.ListenConfig{Control: transparent}, fmt.Sprintf(":%d", proxyPort), func(c net.Conn) string {
		return "proxy " + plain(c.LocalAddr()) + " from " + hostOf(c.RemoteAddr())
	})
}

// plain is the address without the IPv4-in-IPv6 form of dual-stack sockets.
func plain(a net.Addr) string {
	ap := netip.MustParseAddrPort(a.String())
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
}

func hostOf(a net.Addr) string {
	return netip.MustParseAddrPort(a.String()).Addr().Unmap().String()
}

// get connects from ns and returns the line it gets, or "refused" or "timeout".
func (r *rig) get(ns *netns.NS, d *net.Dialer, dst netip.AddrPort) string {
	r.t.Helper()
	if d == nil {
		d = &net.Dialer{}
	}
	if d.Timeout == 0 {
		d.Timeout = 5 * time.Second
	}
	c, err := ns.Dial(context.Background(), d, "tcp", dst.String())
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "refused"):
		return "refused"
	case strings.Contains(err.Error(), "timeout"):
		return "timeout"
	default:
		return err.Error()
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	b, err := io.ReadAll(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// apply applies the plan on the gateway and closes it at the end of the test.
func (r *rig) apply(p Plan, mode Mode) *Handle {
	r.t.Helper()
	h, err := r.tryApply(p, mode)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan struct{})
	if err := h.Renew(); err != nil {
		r.t.Fatal(err)
	}
	go func() {
		defer close(done)
		h.Hold(ctx, func() bool { return true }, func(err error) {
			if !errors.Is(err, os.ErrClosed) {
				r.t.Error(err)
			}
		})
	}()
	r.t.Cleanup(func() {
		end()
		<-done
		if err := h.Close(); err != nil {
			r.t.Error(err)
		}
	})
	return h
}

func (r *rig) tryApply(p Plan, mode Mode) (h *Handle, err error) {
	err = r.Gateway.Do(func() error { h, err = Apply(p, mode); return err })
	return h, err
}

// verify runs Verify on the gateway and returns the problems.
func (r *rig) verify(p Plan) (out []string) {
	r.t.Helper()
	r.on(func() error {
		for _, f := range Verify(p) {
			if f.Level == Problem {
				out = append(out, f.Code)
			}
		}
		return nil
	})
	return out
}

// recordPath is that of the gateway's namespace.
func (r *rig) recordPath(name string) (path string) {
	r.t.Helper()
	r.on(func() error { path = recordPath(name); return nil })
	return path
}

// on runs fn in the gateway.
func (r *rig) on(fn func() error) {
	r.t.Helper()
	if err := r.Gateway.Do(fn); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) status(name string) (s Status) {
	r.t.Helper()
	r.on(func() (err error) { s, err = GetStatus(name); return err })
	return s
}

// state is everything on the gateway that an interception may touch, as text:
// tables, chains, rules, sets, policy rules, routes and a few sysctls.
func (r *rig) state() string {
	r.t.Helper()
	var b strings.Builder
	r.on(func() error {
		nf, err := dialNF()
		if err != nil {
			return err
		}
		defer nf.close()
		tables, err := nf.tables()
		if err != nil {
			return err
		}
		for _, t := range tables {
			fmt.Fprintf(&b, "table %s flags %d %q\n", t.name, t.flags, t.comment)
			rules, err := nf.rules(t.name)
			if err != nil {
				return err
			}
			for _, ru := range rules {
				fmt.Fprintf(&b, "rule %s %s\n", ru.chain, ru.comment)
			}
		}
		more, err := iptablesState(nf)
		if err != nil {
			return err
		}
		b.WriteString(more)
		for _, f := range []int{unix.AF_INET, unix.AF_INET6} {
			rules, err := netlink.RuleList(f)
			if err != nil {
				return err
			}
			for _, ru := range rules {
				fmt.Fprintf(&b, "%d rule %d mark %#x table %d goto %d iif %q proto %d\n", f, ru.Priority, ru.Mark, ru.Table, ru.Goto, ru.IifName, ru.Protocol)
			}
			routes, err := netlink.RouteListFiltered(f, &netlink.Route{}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return err
			}
			var lines []string
			for _, ro := range routes {
				if ro.Type == unix.RTN_MULTICAST {
					continue // the kernel's own, of each link: it comes when it likes
				}
				lines = append(lines, fmt.Sprintf("%d route %s table %d type %d\n", f, ro.Dst, ro.Table, ro.Type))
			}
			sort.Strings(lines)
			b.WriteString(strings.Join(lines, ""))
		}
		for _, key := range []string{"net.ipv4.ip_forward", "net.ipv4.conf.lan0.rp_filter", "net.ipv4.conf.all.src_valid_mark"} {
			v, err := readSysctl(key)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "sysctl %s %s\n", key, v)
		}
		return nil
	})
	return b.String()
}

// iptablesState is what both kinds of iptables have, in the calling thread's
// namespace: tables and chains, and rules without their counters. Tables of
// iptables-legacy that are empty are left out: they stay once somebody looked.
func iptablesState(nf *nfConn) (string, error) {
	var b strings.Builder
	for _, v6 := range []bool{false, true} {
		for _, kind := range []Backend{IPTablesNFT, IPTablesLegacy} {
			tool, err := findTool(kind)
			if err != nil {
				continue
			}
			if kind == IPTablesNFT {
				tables, err := nf.otherTables(v6)
				if err != nil {
					return "", err
				}
				chains, err := nf.otherChains(v6)
				if err != nil {
					return "", err
				}
				fmt.Fprintln(&b, v6, tables, chains)
				if len(chains) == 0 {
					continue
				}
			} else if places, err := iptPlaces(nf, true, v6); err != nil || len(places) == 0 {
				continue
			}
			text, err := tool.run("", v6, "save")
			if err != nil {
				return "", err
			}
			for _, t := range parseSave(text) {
				for _, c := range t.chains {
					fmt.Fprintln(&b, kind, v6, t.name, c.name, c.rules)
				}
				for _, j := range t.jumps {
					fmt.Fprintln(&b, kind, v6, t.name, j.chain, j)
				}
			}
		}
	}
	return b.String(), nil
}

// sockopt makes a Control function that sets one option.
func sockopt(level, opt, value int) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, opt, value) }); e != nil {
			return e
		}
		return err
	}
}

func reuseAddr(n, a string, c syscall.RawConn) error {
	return sockopt(unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)(n, a, c)
}

func ownMark(n, a string, c syscall.RawConn) error {
	return sockopt(unix.SOL_SOCKET, unix.SO_MARK, DefaultOwnMark)(n, a, c)
}

// spoof lets a dialer use an address that is not this machine's.
func spoof(n, a string, c syscall.RawConn) error {
	if n == "tcp6" {
		return sockopt(unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)(n, a, c)
	}
	return sockopt(unix.SOL_IP, unix.IP_TRANSPARENT, 1)(n, a, c)
}

// synRetrans is how many SYNs ns has sent again (TcpExt TCPSynRetrans).
func (r *rig) synRetrans(ns *netns.NS) (n int) {
	r.t.Helper()
	var b []byte
	if err := ns.Do(func() (err error) { b, err = os.ReadFile("/proc/thread-self/net/netstat"); return err }); err != nil {
		r.t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	names, values := strings.Fields(lines[0]), strings.Fields(lines[1])
	i := slices.Index(names, "TCPSynRetrans")
	if i < 0 {
		r.t.Fatalf("no TCPSynRetrans in %q", names)
	}
	if _, err := fmt.Sscan(values[i], &n); err != nil {
		r.t.Fatal(err)
	}
	return n
}

// until waits until cond holds.
func (r *rig) until(ctx context.Context, what string, cond func() bool) {
	r.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			r.t.Fatalf("not in time: %s", what)
		case <-tick.C:
		}
	}
}

// eachBackend runs fn for every backend that this machine has.
func eachBackend(t *testing.T, fn func(*testing.T, Backend)) {
	t.Helper()
	for _, b := range testBackends(t) {
		t.Run(b.String(), func(t *testing.T) { fn(t, b) })
	}
}

// testBackends are the backends that this machine has: with WEIR_E2E=must it has
// all of them.
func testBackends(t *testing.T) []Backend {
	t.Helper()
	out := []Backend{NFT}
	for _, b := range []Backend{IPTablesNFT, IPTablesLegacy} {
		if _, err := findTool(b); err == nil {
			out = append(out, b)
		} else if os.Getenv("WEIR_E2E") == "must" {
			t.Error(err)
		} else {
			t.Logf("not tested: %v", err)
		}
	}
	return out
}
