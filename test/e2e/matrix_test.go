package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/test/netns"
)

// A cell is one way to intercept, of all that there are.
type cell struct {
	backend         string
	v6              bool
	local, redirect bool
	installed       bool
}

// String names the cell.
func (c cell) String() string {
	words := []string{c.backend, "ipv4", "gateway", "tproxy", "resident"}
	for i, w := range []struct {
		on   bool
		word string
	}{{}, {c.v6, "ipv6"}, {c.local, "local"}, {c.redirect, "redirect"}, {c.installed, "installed"}} {
		if w.on {
			words[i] = w.word
		}
	}
	return strings.Join(words, "-")
}

func matrix() (out []cell) {
	both := []bool{false, true}
	for _, backend := range []string{"nft", "iptables-nft", "iptables-legacy"} {
		for _, v6 := range both {
			for _, local := range both {
				for _, redirect := range both {
					for _, installed := range both {
						out = append(out, cell{backend, v6, local, redirect, installed})
					}
				}
			}
		}
	}
	return out
}

// flags are those that describe the cell's rules.
func (c cell) flags(w *world) []string {
	out := []string{"--intercept-backend", c.backend, "--intercept-interface", netns.ClientLink, "--intercept-exclude", c.at(w, "9001")}
	for _, f := range []struct {
		on   bool
		flag string
	}{
		{c.v6, "--intercept-ipv6-only"},
		{!c.v6, "--intercept-ipv4-only"},
		{c.local, "--intercept-local"},
		{c.redirect, "--intercept-redirect"},
		{!c.redirect, "--intercept-reply-spoofed"},
	} {
		if f.on {
			out = append(out, f.flag)
		}
	}
	return out
}

// at is the server's address of the cell's family.
func (c cell) at(w *world, port string) string {
	if c.v6 {
		return w.at6(port)
	}
	return w.at4(port)
}

// source is the address that the server sees: the client's own where Weir borrows
// it (TPROXY with original_src), the gateway's where Weir, or the gateway, is the client.
func (c cell) source(w *world) string {
	switch {
	case !c.local && !c.redirect && c.v6:
		return w.top.ClientAddr6().String()
	case !c.local && !c.redirect:
		return w.top.ClientAddr4().String()
	case c.v6:
		return "fd91:2::1"
	}
	return "10.91.2.1"
}

// directSource is the address that the server sees when nothing is intercepted.
func (c cell) directSource(w *world) string {
	c.redirect = false
	return c.source(w)
}

// config lets everything through to where it was going, and marks the responses.
func (c cell) config() string {
	listener := strings.Replace(passthrough, "virtual_hosts: [{name: all,", "response_headers_to_add: [{header: {key: x-via, value: weir}}], virtual_hosts: [{name: all,", 1)
	if c.redirect {
		listener = strings.Replace(listener, "transparent: true", "transparent: false", 1)
		listener = strings.Replace(listener, "$original_src, ", "", 1)
	}
	return listener
}

// http is a client in the namespace that the cell intercepts, without kept
// connections; with a mark its sockets are those of Weir's.
func (c cell) http(w *world, mark int) *http.Client {
	ns := w.top.Client
	if c.local {
		ns = w.top.Gateway
	}
	d := &net.Dialer{Timeout: time.Second}
	if mark != 0 {
		d.Control = func(_, _ string, rc syscall.RawConn) (err error) {
			return errors.Join(rc.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }), err)
		}
	}
	return &http.Client{Transport: &http.Transport{DialContext: ns.DialContext(d), DisableKeepAlives: true}, Timeout: patience}
}

// failOpen collects how long it took, in all cells, until a connection reached the
// server itself after a SIGKILL.
type failOpen struct {
	mu    sync.Mutex
	times []time.Duration
}

func (f *failOpen) add(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times = append(f.times, d)
}

// TestMatrix holds every way to intercept to the same promises: what is wanted is
// intercepted, with the right destination and source; SSH, excluded destinations
// and our own connections are not; after SIGKILL connections reach the server
// itself; and when the rules are removed the machine is as it was before, as the
// programs of nftables, iptables and iproute2 see it.
func TestMatrix(t *testing.T) {
	var opened failOpen
	t.Run("cells", func(t *testing.T) {
		for _, c := range matrix() {
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				for _, program := range []string{"nft", "ip", c.backend, "iptables-nft-save", "iptables-legacy-save"} {
					if _, err := exec.LookPath(program); err == nil {
						continue
					}
					if os.Getenv("WEIR_E2E") == "must" {
						t.Fatalf("%s is not installed", program)
					}
					t.Skipf("%s is not installed", program)
				}
				w := newWorld(t)
				w.serveHTTP(c.at(w, "80"), named("server"))
				w.serveHTTP(c.at(w, "22"), named("ssh"))
				w.serveHTTP(c.at(w, "9001"), named("control plane"))
				before := w.machine()
				if c.installed {
					c.testInstalled(t, w, &opened)
				} else {
					c.testResident(t, w, &opened)
				}
				if d := cmp.Diff(strings.Split(before, "\n"), strings.Split(w.machine(), "\n")); d != "" {
					t.Errorf("the machine is not what it was: -before +after\n%s", d)
				}
				c.direct(t, w)
			})
		}
	})
	slices.Sort(opened.times)
	if n := len(opened.times); n > 0 {
		// One cell may meet a busy machine; not half of them.
		t.Logf("after SIGKILL the server answered: median %s, at most %s, of %d", opened.times[n/2], opened.times[n-1], n)
		if opened.times[n/2] > time.Second {
			t.Error("half of the cells took more than a second to fail open")
		}
	}
}

// testResident: rules that belong to the process.
func (c cell) testResident(t *testing.T, w *world, opened *failOpen) {
	args := append([]string{"--intercept", "all"}, c.flags(w)...)
	p := w.start(c.config(), args...)
	c.intercepted(t, w)
	s := w.interceptStatus(0)
	if !s.Active || s.Mode != "resident" || s.Backend != c.backend || s.Intercepted() == 0 {
		t.Errorf("status: %+v", s)
	}
	c.killed(t, w, p, opened)
	// What a killed process may leave, the next one, or down, clears.
	p = w.start(c.config(), args...)
	c.intercepted(t, w)
	p.stop()
}

// testInstalled: rules that stay.
func (c cell) testInstalled(t *testing.T, w *world, opened *failOpen) {
	up := append([]string{"intercept", "up"}, c.flags(w)...)
	for range 2 { // twice is no mistake
		if out, code := w.run(up...); code != 0 {
			t.Fatalf("up: %d\n%s", code, out)
		}
	}
	c.direct(t, w)
	p := w.start(c.config()) // it finds out about the rules, and marks its own connections
	c.intercepted(t, w)
	s := w.interceptStatus(0)
	if !s.Active || s.Mode != "installed" || s.Backend != c.backend || s.Intercepted() == 0 {
		t.Errorf("status: %+v", s)
	}
	if needs := s.Plan.NeedsGuard(intercept.Installed); needs != (s.Guard != 0) {
		t.Errorf("guarded by %d, needs a guard: %v", s.Guard, needs)
	}
	c.killed(t, w, p, opened)
	p = w.start(c.config(), "--intercept-own-mark", fmt.Sprint(intercept.DefaultOwnMark))
	c.intercepted(t, w)
	p.stop()
	w.until("connections pass", func() error { return c.get(w, "80", 0, "server", c.directSource(w), false) })
	if out, code := w.run("intercept", "down"); code != 0 {
		t.Errorf("down: %d\n%s", code, out)
	}
	w.until("the guard has ended", func() error {
		if out, _ := w.run("intercept", "status", "--json"); strings.Contains(out, `"guard"`) {
			return errors.New(out)
		}
		return nil
	})
}

// get holds a request to be answered by origin, which saw a client at source, and
// to have passed Weir or not.
func (c cell) get(w *world, port string, mark int, origin, source string, via bool) error {
	r, err := get(c.http(w, mark), "http://"+c.at(w, port)+"/")
	if err != nil {
		return err
	}
	if r.origin != origin || r.seen != source || (r.header.Get("x-via") != "") != via {
		return fmt.Errorf("port %s: answered by %q, which saw %s, by way of %q; want %q, %s, by weir %v", port, r.origin, r.seen, r.header.Get("x-via"), origin, source, via)
	}
	return nil
}

// intercepted waits until connections are, and looks at those that are not to be.
func (c cell) intercepted(t *testing.T, w *world) {
	t.Helper()
	w.until("connections are intercepted", func() error { return c.get(w, "80", 0, "server", c.source(w), true) })
	for _, x := range []struct {
		what, port string
		mark       int
		origin     string
	}{
		{"ssh", "22", 0, "ssh"},
		{"an excluded destination", "9001", 0, "control plane"},
		{"our own connection", "80", intercept.DefaultOwnMark, "server"},
	} {
		if x.mark != 0 && !c.local {
			continue // marks do not travel
		}
		if err := c.get(w, x.port, x.mark, x.origin, c.directSource(w), false); err != nil {
			t.Errorf("%s: %v", x.what, err)
		}
	}
}

// direct holds connections to reach the server itself.
func (c cell) direct(t *testing.T, w *world) {
	t.Helper()
	if err := c.get(w, "80", 0, "server", c.directSource(w), false); err != nil {
		t.Error(err)
	}
}

// killed kills Weir and waits until connections reach the server itself.
func (c cell) killed(t *testing.T, w *world, p *process, opened *failOpen) {
	t.Helper()
	p.kill()
	at := time.Now()
	w.until("connections reach the server", func() error { return c.get(w, "80", 0, "server", c.directSource(w), false) })
	opened.add(time.Since(at))
}

// machine is the gateway as other programs see it.
func (w *world) machine() string {
	w.t.Helper()
	var b strings.Builder
	for _, c := range [][]string{
		{"nft", "list", "ruleset"},
		{"iptables-nft-save"},
		{"ip6tables-nft-save"},
		{"iptables-legacy-save"},
		{"ip6tables-legacy-save"},
		{"ip", "rule"},
		{"ip", "-6", "rule"},
		{"ip", "route", "show", "table", "all"},
		{"ip", "-6", "route", "show", "table", "all"},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		cmd := w.top.Gateway.Command(ctx, c[0], c[1:]...)
		out, err := cmd.Output()
		cancel()
		if err != nil {
			w.t.Fatalf("%q: %v", c, err)
		}
		fmt.Fprintf(&b, "%q\n", c)
		for line := range strings.Lines(string(out)) {
			// Left out: times; the kernel's own multicast routes, which come when they
			// like; tables of iptables-legacy, which stay, empty, once they were used.
			legacy := strings.Contains(c[0], "legacy")
			if strings.HasPrefix(line, "#") || strings.HasPrefix(line, "multicast") || legacy && !strings.HasPrefix(line, "-A") && !strings.Contains(line, " - [") {
				continue
			}
			b.WriteString(strings.ReplaceAll(line, "linkdown ", "")) // the kernel sees the carrier a little later
		}
	}
	return b.String() + w.network()
}
