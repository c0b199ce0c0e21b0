package e2e

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// beside is another Weir's world in the same namespaces: files of its own.
func (w *world) beside() *world {
	w.t.Helper()
	dir, err := os.MkdirTemp("", "weir-e2e-")
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &world{t: w.t, top: w.top, dir: dir}
}

// Two Weirs with different names, marks, route tables and priorities leave each
// other alone, whatever becomes of either.
func TestTwoWeirsCoexist(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("80"), named("direct80"))
	w.serveHTTP(w.at4("81"), named("direct81"))
	w.serveHTTP(w.at4("8081"), named("v1"))
	w.serveHTTP(w.at4("8082"), named("v2"))
	before := w.network()
	second := w.beside()
	one := append([]string{"--intercept", "80"}, takeAll[2:]...)
	two := append([]string{
		"--intercept", "81", "--intercept-name", "second", "--intercept-mark-mask", "0x30000", "--intercept-mark", "0x10000",
		"--intercept-own-mark", "0x20000", "--intercept-local-mark", "0x30000", "--intercept-table", "15002", "--intercept-priority", "5200",
	}, takeAll[2:]...)
	boot2 := strings.NewReplacer("15001", "15002", "8081", "8082").Replace(toV1)
	answers := func(why, at80, at81 string) {
		t.Helper()
		for port, want := range map[string]string{"80": at80, "81": at81} {
			if r := w.mustGet(w.client(), "http://"+w.at4(port)+"/"); r.origin != want {
				t.Errorf("%s: port %s: answered by %q, want %q", why, port, r.origin, want)
			}
		}
	}
	healthy := func(of *world, name string) {
		t.Helper()
		if out, code := of.run("intercept", "status", "--name", name); code != 0 {
			t.Errorf("status of %s: %d\n%s", name, code, out)
		}
	}
	a, b := w.start(toV1, one...), second.start(boot2, two...)
	answers("both", "v1", "v2")
	healthy(w, "main")
	healthy(second, "second")
	b.kill()
	answers("the second was killed", "v1", "direct81")
	healthy(w, "main")
	b = second.start(boot2, two...)
	answers("the second is back", "v1", "v2")
	a.stop()
	answers("the first was stopped", "direct80", "v2")
	healthy(second, "second")
	b.stop()
	w.restored(before)

	// The same marks are refused, and nothing changes.
	b = second.start(boot2, two...)
	path := w.dir + "/same.yaml"
	if err := os.WriteFile(path, []byte(w.expand(toV1)), 0o600); err != nil {
		t.Fatal(err)
	}
	same := append([]string{"-c", path, "--intercept-mark-mask", "0x30000", "--intercept-mark", "0x10000", "--intercept-own-mark", "0x20000", "--intercept-local-mark", "0x30000"}, one...)
	if out, code := w.run(same...); code != 1 || !strings.Contains(out, "weir-second") {
		t.Errorf("the same mark: %d\n%s", code, out)
	}
	answers("a third was refused", "direct80", "v2")
	b.stop()
	w.restored(before)
}

// An upgrade: a second process takes over the port of installed rules, and then the
// first ends. Not one connection fails, and none goes past.
func TestInstalledRulesSurviveAnUpgrade(t *testing.T) {
	w := newWorld(t)
	serve := func(addr, who string) {
		w.serveHTTP(addr, func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, who) })
	}
	serve(w.at4("80"), "direct")
	serve(w.at4("8081"), "v1")
	// What is in the handshake with a socket that closes goes on with the other's.
	if err := w.top.Gateway.SetSysctl("net.ipv4.tcp_migrate_req", "1"); err != nil {
		t.Fatal(err)
	}
	if out, code := w.run("intercept", "up", "--ports", "80", "--interface", netns.ClientLink, "--reply-spoofed"); code != 0 {
		t.Fatalf("up: %d\n%s", code, out)
	}
	p := w.start(toV1, "--drain-strategy", "gradual", "--drain-time-s", "20")
	s := w.startStorm(w.at4("80"))
	w.served(s, "v1", 100, time.Time{})
	for range 3 {
		other := w.beside()
		q := other.start(toV1, "--drain-strategy", "gradual", "--drain-time-s", "20")
		w.served(s, "v1", 100, time.Now())
		p.signal(unix.SIGTERM)
		w.served(s, "v1", 100, time.Now())
		if code := p.wait(); code != 0 {
			t.Errorf("the old one ended with %d", code)
		}
		p = q
	}
	for _, a := range s.end() {
		if a.who != "v1" {
			t.Errorf("%q, %v", a.who, a.err)
		}
	}
}
