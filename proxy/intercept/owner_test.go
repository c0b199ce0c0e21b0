package intercept

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ownerMain is the child of startOwner: a proxy that holds a resident plan until
// it is killed. It runs in the namespace it was started in.
func ownerMain() {
	fail := func(err error) {
		fmt.Println(err)
		os.Exit(1)
	}
	var p Plan
	if err := json.Unmarshal([]byte(os.Getenv(ownerEnv)), &p); err != nil {
		fail(err)
	}
	lc := net.ListenConfig{Control: transparent}
	ln, err := lc.Listen(context.Background(), "tcp", fmt.Sprintf(":%d", p.ListenPort))
	if err != nil {
		fail(err)
	}
	h, err := Apply(p, Resident)
	if err != nil {
		fail(err)
	}
	if p.NeedsGuard(Resident) {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), ownerEnv+"=", guardEnv+"="+h.Plan().Name+" "+fmt.Sprint(os.Getpid()))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := h.StartGuard(cmd); err != nil {
			fail(err)
		}
		fmt.Println("guard", cmd.Process.Pid)
	}
	if err := h.Renew(); err != nil {
		fail(err)
	}
	go h.Hold(context.Background(), func() bool { return true }, fail)
	fmt.Println("ready")
	for {
		c, err := ln.Accept()
		if err != nil {
			fail(err)
		}
		io.WriteString(c, "proxy "+plain(c.LocalAddr())+" from "+hostOf(c.RemoteAddr()))
		c.Close()
	}
}

// guardMain is the child of an owner that needs a guard.
func guardMain() {
	var name string
	var parent int
	_, err := fmt.Sscan(os.Getenv(guardEnv), &name, &parent)
	if err == nil {
		err = GuardParent(name, parent, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// startOwner runs ownerMain on the gateway and returns its process.
func (r *rig) startOwner(p Plan) *exec.Cmd {
	r.t.Helper()
	c, _ := r.startGuarded(p)
	return c
}

// startGuarded is startOwner; guard is the number of the guard's process, 0 without one.
func (r *rig) startGuarded(p Plan) (owner *exec.Cmd, guard int) {
	r.t.Helper()
	b, err := json.Marshal(p)
	if err != nil {
		r.t.Fatal(err)
	}
	c := r.Gateway.Command(r.t.Context(), "/proc/self/exe")
	c.Env = append(os.Environ(), ownerEnv+"="+string(b))
	out, err := c.StdoutPipe()
	if err != nil {
		r.t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		switch {
		case err != nil:
			r.t.Fatalf("owner said %q, %v", line, err)
		case line == "ready\n":
			return c.Cmd, guard
		}
		if n, err := fmt.Sscanf(line, "guard %d", &guard); n != 1 {
			r.t.Fatalf("owner said %q, %v", line, err)
		}
	}
}

func TestKilledOwnerGivesTheTrafficBackAtOnce(t *testing.T) {
	r := newRig(t, 80)
	before := r.state()
	p := Plan{ListenPort: proxyPort, Sysctls: []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}}}
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	owner := r.startOwner(p)
	if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, r.ClientAddr4()); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}

	// Nobody else can take the table away, or change it.
	if _, err := r.tryApply(p, Resident); !errors.Is(err, ErrOwned) {
		t.Errorf("apply beside the owner: %v, want ErrOwned", err)
	}
	r.on(func() error {
		if err := Remove(DefaultName); !errors.Is(err, ErrOwned) {
			t.Errorf("remove beside the owner: %v, want ErrOwned", err)
		}
		nf, err := dialNF()
		if err != nil {
			return err
		}
		defer nf.close()
		if err := nf.commit([]mdl.Message{deleteTable("weir-main")}); !errors.Is(err, unix.EPERM) {
			t.Errorf("delete the owner's table: %v, want EPERM", err)
		}
		return nil
	})
	if got := r.verify(p); got != nil {
		t.Errorf("verify: %v", got)
	}
	if s := r.status(DefaultName); s.Mode != "resident" || s.PID != owner.Process.Pid || s.Owner == 0 {
		t.Errorf("status: %+v", s)
	}

	if err := unix.Kill(owner.Process.Pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	killed := time.Now()
	if got := r.get(r.Client, nil, dst); got != "server" {
		t.Errorf("after SIGKILL: got %q, want the server", got)
	}
	t.Logf("server answered %v after the owner's end", time.Since(killed))
	if after := r.state(); strings.Contains(after, "table weir-main") {
		t.Errorf("a table is left:\n%s", after)
	}

	// The next start clears what the kernel could not, and so does Remove.
	h := r.apply(p, Resident)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if after := r.state(); after != before {
		t.Errorf("state after the next run:\n%s\nbefore:\n%s", after, before)
	}
	owner = r.startOwner(p)
	_ = unix.Kill(owner.Process.Pid, unix.SIGKILL)
	_ = owner.Wait()
	r.on(func() error { return Remove(DefaultName) })
	if after := r.state(); after != before {
		t.Errorf("state after Remove:\n%s\nbefore:\n%s", after, before)
	}
}

func TestReapplyReplacesAnOwnedTable(t *testing.T) {
	r := newRig(t, 80)
	r.proxy()
	p := Plan{ListenPort: proxyPort}
	h := r.apply(p, Resident)
	state := r.state()
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	if err := h.Reapply(p); err != nil {
		t.Fatal(err)
	}
	if again := r.state(); again != state {
		t.Errorf("state after Reapply:\n%s\nbefore:\n%s", again, state)
	}
	q := p
	q.ExcludePorts = []PortRange{Port(80)}
	if err := h.Reapply(q); err != nil {
		t.Fatal(err)
	}
	if got := r.get(r.Client, nil, dst); got != "server" {
		t.Errorf("excluded: got %q, want the server", got)
	}
	if got := r.verify(p); len(got) == 0 {
		t.Error("verify of the old plan finds nothing")
	}
	if got := r.verify(q); got != nil {
		t.Errorf("verify: %v", got)
	}
	q.Table = 4711
	if err := h.Reapply(q); err == nil {
		t.Error("reapply with another route table is no error")
	}
	q.Table, q.ListenPort = 0, 0
	if err := h.Reapply(q); err == nil {
		t.Error("reapply of an invalid plan is no error")
	}
	if err := h.Reapply(p); err != nil {
		t.Fatal(err)
	}
	if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, r.ClientAddr4()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if err := h.Reapply(p); !errors.Is(err, os.ErrClosed) {
		t.Errorf("reapply after Close: %v", err)
	}
}
