package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/test/netns"
)

func TestInterceptUpFailsOpenAndDownRestores(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.direct()
	w.serveHTTP(w.at4("8081"), named("v1"))
	before := w.network()
	url := "http://" + w.at4("80") + "/"
	origin := func(want string) {
		t.Helper()
		if r := w.mustGet(w.client(), url); r.origin != want || r.seen != w.top.ClientAddr4().String() {
			t.Errorf("answered by %q, which saw %q; want %q", r.origin, r.seen, want)
		}
	}
	args := []string{"--ports", "80,7001", "--intercept-interface", netns.ClientLink, "--intercept-reply-spoofed"}

	// plan shows and changes nothing.
	plan, code := w.run(append([]string{"intercept", "plan"}, args...)...)
	if code != 0 || !strings.Contains(plan, "tproxy") {
		t.Errorf("plan: %d\n%s", code, plan)
	}
	w.restored(before)
	if out, code := w.run("intercept", "status"); code != 0 || !strings.Contains(out, "off") {
		t.Errorf("status before: %d\n%s", code, out)
	}

	if out, code := w.run(append([]string{"intercept", "up"}, args...)...); code != 0 {
		t.Fatalf("up: %d\n%s", code, out)
	}
	origin("direct") // nothing listens

	p := w.start(toV1)
	origin("v1")
	s := w.interceptStatus(0)
	if !s.Active || s.Mode != "installed" || s.Intercepted() < 1 || s.Missed() < 1 {
		t.Errorf("status: %+v", s)
	}
	p.kill()
	origin("direct") // again
	p = w.start(toV1)
	origin("v1") // and again
	p.stop()
	origin("direct")

	// A rule that is missing is found.
	if err := w.top.Gateway.Do(func() error { return delRule(intercept.DefaultMark) }); err != nil {
		t.Fatal(err)
	}
	if out, code := w.run("intercept", "status"); code != 3 || !strings.Contains(out, "missing") {
		t.Errorf("status with a rule deleted: %d\n%s", code, out)
	}
	// up once more mends it.
	if out, code := w.run(append([]string{"intercept", "up"}, args...)...); code != 0 {
		t.Fatalf("up again: %d\n%s", code, out)
	}
	w.interceptStatus(0)

	for range 2 { // twice is no mistake
		if out, code := w.run("intercept", "down"); code != 0 {
			t.Errorf("down: %d\n%s", code, out)
		}
		w.restored(before)
	}
	origin("direct")
}

// interceptStatus is what `weir intercept status --json` says.
func (w *world) interceptStatus(wantCode int) (s intercept.Status) {
	w.t.Helper()
	out, code := w.run("intercept", "status", "--json")
	if code != wantCode {
		w.t.Errorf("status: exit code %d, want %d\n%s", code, wantCode, out)
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		w.t.Errorf("status: %v\n%s", err, out)
	}
	return s
}

// What fails closed stays closed however Weir ends, until it is opened; what does
// not goes its own way.
func TestOnDownDropOfSomePorts(t *testing.T) {
	t.Parallel()
	for _, installed := range []bool{false, true} {
		w := newWorld(t)
		w.direct()
		w.serveHTTP(w.at4("8081"), named("v1"))
		before := w.network()
		rules := append([]string{"--intercept-on-down", "drop:7001"}, takeAll[2:]...)
		run := append([]string{"--intercept", "all"}, rules...)
		if installed {
			run = nil
			if out, code := w.run(append([]string{"intercept", "up"}, rules...)...); code != 0 {
				t.Fatalf("up: %d\n%s", code, out)
			}
		}
		down := func(why string) {
			t.Helper()
			if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "direct" {
				t.Errorf("%s: answered by %q", why, r.origin)
			}
			c, err := w.top.Client.Dial(context.Background(), &net.Dialer{Timeout: 300 * time.Millisecond}, "tcp", w.at4("7001"))
			if err == nil {
				c.Close()
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("%s: dial of a closed port: %v", why, err)
			}
		}
		up := func() *process {
			t.Helper()
			p := w.start(toV1, run...)
			if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "v1" {
				t.Errorf("answered by %q", r.origin)
			}
			opaque := w.dial(w.at4("7001"))
			opaque.send("echo")
			opaque.expect("echo")
			return p
		}
		up().kill()
		down("killed")
		up().stop()
		down("stopped")
		for range 2 {
			if out, code := w.run("intercept", "down"); code != 0 {
				t.Errorf("down: %d\n%s", code, out)
			}
			w.restored(before)
		}
		w.dial(w.at4("7001"))
	}
}

func TestOnDownDropDrops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.direct()
	w.serveHTTP(w.at4("8081"), named("v1"))
	before := w.network()
	if out, code := w.run("intercept", "up", "--intercept-on-down", "drop", "--intercept-interface", netns.ClientLink, "--intercept-reply-spoofed"); code != 0 {
		t.Fatalf("up: %d\n%s", code, out)
	}
	dropped := func() {
		t.Helper()
		for _, addr := range []string{w.at4("80"), w.at6("80"), w.at4("7001")} {
			c, err := w.top.Client.Dial(context.Background(), &net.Dialer{Timeout: 200 * time.Millisecond}, "tcp", addr)
			if err == nil {
				c.Close()
			}
			if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
				t.Errorf("dial %s while nothing listens: %v", addr, err)
			}
		}
	}
	dropped()
	p := w.start(toV1)
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "v1" {
		t.Errorf("answered by %q", r.origin)
	}
	p.kill()
	dropped()
	if out, code := w.run("intercept", "down"); code != 0 {
		t.Errorf("down: %d\n%s", code, out)
	}
	w.restored(before)
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "direct" {
		t.Errorf("after down: answered by %q", r.origin)
	}
}

func TestRulesOfARunningProcessAreItsOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), named("v1"))
	w.start(toV1, takeAll...)
	if s := w.interceptStatus(0); !s.Active || s.Mode != "resident" {
		t.Errorf("status: %+v", s)
	}
	if out, code := w.run("intercept", "down"); code == 0 {
		t.Errorf("down took the rules of a running process away\n%s", out)
	}
	if r := w.mustGet(w.client(), "http://"+w.at4("80")+"/"); r.origin != "v1" {
		t.Errorf("answered by %q", r.origin)
	}
}
