package e2e

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// pod makes a namespace with a server of its own behind a gateway of its own; all
// have the addresses that those of other pods have. path leads to the namespace.
func (w *world) pod(name string) (p *world, path string) {
	w.t.Helper()
	top := w.top
	if name != "a" {
		top = netns.Start(w.t, netns.Options{})
	}
	path = filepath.Join(w.dir, name)
	p = &world{t: w.t, top: &netns.Topology{Client: top.Client, Gateway: top.Client, Server: top.Server}, dir: w.dir}
	p.show(path)
	p.serveHTTP(p.at4("8081"), named("v1 of "+name))
	p.serveHTTP(p.at4("80"), named("direct to "+name))
	p.serveHTTP(p.at6("80"), named("direct to "+name))
	return p, path
}

// show makes the pod's namespace known by a path.
func (w *world) show(path string) {
	w.t.Helper()
	if err := os.Symlink(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), w.top.Client.Fd()), path); err != nil {
		w.t.Fatal(err)
	}
}

// answers holds the pod's requests to who answers them.
func (w *world) answers(want string) {
	w.t.Helper()
	for _, at := range []string{w.at4("80"), w.at6("80")} {
		if r := w.mustGet(w.client(), "http://"+at+"/"); r.origin != want {
			w.t.Errorf("%s: answered by %q, want %q", at, r.origin, want)
		}
	}
}

// policies are the policy rules of Weir's in the pod.
func (w *world) policies() (n int) {
	w.t.Helper()
	if err := w.top.Client.Do(func() error {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			rules, err := netlink.RuleList(family)
			if err != nil {
				return err
			}
			for _, r := range rules {
				if r.Protocol == 87 {
					n++
				}
			}
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// TestManyNamespacesFromOne: pods without a sidecar, and one Weir in a third
// namespace that serves them.
func TestManyNamespacesFromOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, pathA := w.pod("a")
	b, pathB := w.pod("b")
	before := w.network()
	args := []string{"--netns", pathA, "--netns", pathB, "--intercept", "all", "--intercept-local"}
	p := w.start(toV1, args...)
	for range 2 { // the second time over a pooled connection
		a.answers("v1 of a")
		b.answers("v1 of b")
	}
	// Nothing listens here.
	if c, err := w.top.Server.Dial(t.Context(), nil, "tcp", "10.91.2.1:15001"); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("the listener's port in Weir's own namespace: %v, %v", c, err)
	}
	w.restored(before)
	for _, x := range []*world{a, b} {
		if out, _ := x.run("intercept", "status", "--json"); !strings.Contains(out, `"mode": "resident"`) || !strings.Contains(out, `"table"`) {
			t.Errorf("status within a pod: %s", out)
		}
	}
	// Who dials the listener itself would be sent round and round.
	for i, addr := range []string{"127.0.0.1:15001", b.top.ClientAddr4().String() + ":15001"} {
		l := b.dial(addr)
		l.send("hello\n")
		if b, err := io.ReadAll(l.r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the listener dialled: %q, %v", b, err)
		}
		w.waitStat("listener.intercepted.downstream_cx_self_dial_refused", i+1)
	}

	p.kill()
	a.answers("direct to a")
	b.answers("direct to b")
	for _, x := range []*world{a, b} {
		if names := x.tables(); len(names) > 0 {
			t.Errorf("left after a kill: %q", names)
		}
	}

	p = w.start(toV1, args...)
	a.answers("v1 of a")
	b.answers("v1 of b")
	p.stop()
	for _, x := range []*world{a, b} {
		if names, n := x.tables(), x.policies(); len(names) > 0 || n > 0 {
			t.Errorf("left after a stop: %q, %d policy rules", names, n)
		}
	}
	a.answers("direct to a")
	b.answers("direct to b")
	if left, _ := filepath.Glob(filepath.Join(w.dir, "intercept-*.json")); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

func TestNamespacesComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, pathA := w.pod("a")
	b, pathB := w.pod("b")
	if err := os.Remove(pathB); err != nil {
		t.Fatal(err)
	}
	p := w.start(toV1, "--netns", pathA, "--netns", pathB, "--intercept", "80", "--intercept-local")
	p.waitLog("is not there", pathB)
	a.answers("v1 of a")
	b.answers("direct to b")
	origin := func(x *world, want string) {
		t.Helper()
		w.until("answered by "+want, func() error {
			r, err := get(x.client(), "http://"+x.at4("80")+"/")
			if err == nil && r.origin != want {
				err = fmt.Errorf("answered by %q", r.origin)
			}
			return err
		})
	}
	for range 2 {
		b.show(pathB)
		origin(b, "v1 of b")
		a.answers("v1 of a")
		if err := os.Remove(pathB); err != nil {
			t.Fatal(err)
		}
		origin(b, "direct to b")
		w.until("nothing is left there", func() error {
			if names, n := b.tables(), b.policies(); len(names) > 0 || n > 0 {
				return fmt.Errorf("%q, %d policy rules", names, n)
			}
			return nil
		})
		a.answers("v1 of a")
	}
	p.stop()
}

// TestUpstreamFromHere: what pods ask for is asked for by Weir in its own place.
func TestUpstreamFromHere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, pathA := w.pod("a")
	b, pathB := w.pod("b")
	noSource := strings.Replace(toV1, "$original_src, ", "", 1)
	w.start(strings.Replace(noSource, ", $original_src", "", 1), "--netns", pathA, "--netns", pathB, "--netns-upstream", "here", "--intercept", "80", "--intercept-local")
	a.answers("v1 of a")
	b.answers("v1 of a") // the server that the gateway of a reaches
}

// TestInboundOfAPod: connections to the pod's own server go through Weir, which goes
// on to that server from within.
func TestInboundOfAPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, path := w.pod("a")
	ln, err := w.top.Client.Listen(t.Context(), nil, "tcp", ":9000")
	if err != nil {
		t.Fatal(err)
	}
	serve(t, ln, func(c net.Conn) { _, _ = io.WriteString(c, "the pod\n") })
	ask := func() (string, int) {
		c, err := w.top.Server.Dial(t.Context(), &net.Dialer{Timeout: patience}, "tcp", net.JoinHostPort(a.top.ClientAddr4().String(), "9000"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		if err != nil {
			t.Error(err)
		}
		return string(b), w.listenerStat("downstream_cx_total")
	}
	w.start(strings.Replace(passthrough, "$original_src, ", "", 1), "--netns", path, "--intercept", "9000", "--intercept-inbound")
	for i := range 2 {
		if said, n := ask(); said != "the pod\n" || n != i+1 {
			t.Errorf("answered %q, %d connections through Weir", said, n)
		}
	}
}

// serve answers every connection until the test ends.
func serve(t *testing.T, ln net.Listener, answer func(net.Conn)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			answer(c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = ln.Close(); <-done })
}
