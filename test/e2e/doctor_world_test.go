package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/doctor"
	"github.com/weirproxy/weir/test/netns"
)

// A host is a world whose gateway a doctor is called to.
type host struct {
	*world
	p    *process // Weir; nil when it does not run
	boot string
	args []string

	after func() // what has to have happened when it is well again; may be nil
}

// A fault is a way to break a host, and what the doctor must say of it.
type fault struct {
	name string
	// code is the first cause that is named.
	code string
	// follows are codes that must be folded under it.
	follows []string
	// boot is the configuration, with an admin socket added; default toV1. args are
	// Weir's; nil: the rules are installed, and Weir marks its own connections.
	boot string
	args []string
	// unwatched is Weir without the guard that kills it when it is stuck, and removes what it leaves.
	unwatched bool
	// up are the arguments of `weir intercept up`; default: everything of the client's.
	up []string
	// prepare comes before Weir starts, break after it serves.
	prepare func(*host)
	// sh are commands that break it; broken is a step that no command does.
	sh     string
	broken func(*host)
	// diagnose are further arguments of the doctor.
	diagnose []string
	// works says that traffic flows in spite of it.
	works bool
	// mend is what a person has to do; nil: the finding's own commands mend it, or
	// --fix does when fix is set.
	mend func(*host)
	fix  bool
	// also is what the finding has to say.
	also []string
}

// sickbed makes a healthy host for a fault.
func sickbed(t *testing.T, f *fault) *host {
	t.Helper()
	h := &host{world: newWorld(t), boot: f.boot, args: f.args}
	if h.boot == "" {
		h.boot = toV1
	}
	if h.args == nil {
		h.args = []string{"--intercept-own-mark", "0x2000"}
	}
	if f.unwatched {
		h.args = append(slices.Clip(h.args), "--watchdog", "0")
	}
	h.direct()
	h.serveHTTP(h.at4("8081"), named("v1"))
	if err := os.Mkdir(filepath.Join(h.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(weirBinary(t), filepath.Join(h.dir, "bin", "weir")); err != nil {
		t.Fatal(err)
	}
	if f.prepare != nil {
		f.prepare(h)
	}
	if f.args == nil {
		up := f.up
		if up == nil {
			up = []string{"--interface", netns.ClientLink, "--reply-spoofed"}
		}
		h.sh("weir intercept up " + strings.Join(up, " "))
		t.Cleanup(func() { h.run("intercept", "down") }) // a guard ends with its rules
	}
	h.p = h.start(h.boot, h.args...)
	return h
}

// sh runs commands in the gateway; `weir` is the program under test.
func (h *host) sh(script string) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c := h.top.Gateway.Command(ctx, "sh", "-ec", script)
	c.Env = append(h.env(), "PATH="+filepath.Join(h.dir, "bin")+":"+os.Getenv("PATH"))
	if out, err := c.CombinedOutput(); err != nil {
		h.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// diagnosis asks the doctor.
func (h *host) diagnosis(args ...string) (*doctor.Report, int) {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	c := h.top.Gateway.Command(ctx, weirBinary(h.t), append([]string{"doctor", "--json", "--admin", h.socket()}, args...)...)
	c.Dir, c.Env = h.dir, h.env()
	var notes strings.Builder
	c.Stderr = &notes
	out, err := c.Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		h.t.Fatal(err)
	}
	r := new(doctor.Report)
	if err := json.Unmarshal(out, r); err != nil {
		h.t.Fatalf("doctor: %v\n%s\n%s", err, out, &notes)
	}
	return r, c.ProcessState.ExitCode()
}

// flows tells whether the client's requests are answered by way of Weir.
func (h *host) flows() error {
	d := net.Dialer{Timeout: 300 * time.Millisecond}
	tr := &http.Transport{DialContext: h.top.Client.DialContext(&d), DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	c := &http.Client{Transport: tr, Timeout: 2 * time.Second}
	r, err := get(c, "http://"+h.at4("80")+"/")
	if err == nil && r.origin != "v1" {
		err = fmt.Errorf("answered by %q", r.origin)
	}
	return err
}

// serious are the causes that are not notes.
func serious(r *doctor.Report) (out []doctor.Finding) {
	for _, x := range r.Findings {
		if x.Level != doctor.Note {
			out = append(out, x)
		}
	}
	return out
}

func show(r *doctor.Report) string { return r.Text() }

// cured waits until the doctor finds nothing, and traffic flows.
func (h *host) cured(what string, args ...string) {
	h.t.Helper()
	var last *doctor.Report
	err := eventually(patience, func() error {
		if err := h.flows(); err != nil {
			return err
		}
		r, code := h.diagnosis(args...)
		last = r
		if code != 0 || !r.OK {
			return fmt.Errorf("doctor: exit code %d", code)
		}
		return nil
	})
	if err != nil {
		text := ""
		if last != nil {
			text = show(last)
		}
		h.t.Fatalf("%s: %v\n%s", what, err, text)
	}
}

// run breaks a host, has it diagnosed, mends it and looks whether it is well.
func (f *fault) run(t *testing.T) {
	t.Parallel()
	h := sickbed(t, f)
	h.cured("before anything is broken")

	if f.sh != "" {
		h.sh(f.sh)
	}
	if f.broken != nil {
		f.broken(h)
	}
	if err := h.flows(); (err == nil) != f.works {
		t.Errorf("broken, and traffic: %v", err)
	}
	var r *doctor.Report
	err := eventually(patience, func() error {
		if !f.works {
			_ = h.flows() // what fails is counted
		}
		var code int
		r, code = h.diagnosis(f.diagnose...)
		found := serious(r)
		if code != 1 || len(found) != 1 || found[0].Code != f.code {
			return fmt.Errorf("exit code %d, %d causes, want only %s", code, len(found), f.code)
		}
		for _, code := range f.follows {
			if !slices.ContainsFunc(found[0].Follows, func(y doctor.Finding) bool { return y.Code == code }) {
				return fmt.Errorf("%s does not follow from %s", code, f.code)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, show(r))
	}
	x := serious(r)[0]
	if x.Why == "" || len(x.Evidence) == 0 || len(x.Fix) == 0 && x.Advice == "" {
		t.Errorf("a finding without why, evidence or fix:\n%s", show(r))
	}
	for _, s := range f.also {
		if !strings.Contains(show(r), s) {
			t.Errorf("the report does not say %q\n%s", s, show(r))
		}
	}
	switch {
	case f.mend != nil:
		f.mend(h)
	case f.fix:
		h.run("doctor", "--fix", "--admin", h.socket())
	default:
		if len(x.Fix) == 0 {
			t.Fatalf("no command to mend it\n%s", show(r))
		}
		for _, command := range x.Fix {
			h.sh(command)
		}
	}
	h.cured("mended", f.diagnose...)
	if h.after != nil {
		h.after()
	}
}
