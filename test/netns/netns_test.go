package netns

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	_ = Enter()
	goleak.VerifyTestMain(m)
}

// inode names the namespace of the calling thread.
func inode(t *testing.T) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		t.Fatal(err)
	}
	return st.Ino
}

func TestTrafficIsForwardedBetweenTheEnds(t *testing.T) {
	extra := netip.MustParseAddr("10.91.2.3")
	top := Start(t, Options{ServerAddrs: []netip.Addr{extra}})
	for _, a := range []netip.Addr{top.ServerAddr4(), top.ServerAddr6(), extra} {
		t.Run(a.String(), func(t *testing.T) {
			ln, err := top.Server.Listen(t.Context(), nil, "tcp", net.JoinHostPort(a.String(), "0"))
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			got := make(chan string, 1)
			go func() {
				c, err := ln.Accept()
				if err != nil {
					got <- err.Error()
					return
				}
				defer c.Close()
				got <- netip.MustParseAddrPort(c.RemoteAddr().String()).Addr().String()
				io.WriteString(c, "hello")
			}()
			c, err := top.Client.Dial(t.Context(), nil, "tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			b, err := io.ReadAll(c)
			if err != nil || string(b) != "hello" {
				t.Fatalf("read %q, %v", b, err)
			}
			want := top.ClientAddr4()
			if a.Is6() {
				want = top.ClientAddr6()
			}
			if s := <-got; s != want.String() {
				t.Errorf("server saw %s, want %s", s, want)
			}
		})
	}
}

func TestDoLeavesTheCallersNamespaceAlone(t *testing.T) {
	top := Start(t, Options{})
	before := inode(t)
	var inside, nested, after uint64
	err := top.Client.Do(func() error {
		inside = inode(t)
		if err := top.Server.Do(func() error { nested = inode(t); return nil }); err != nil {
			return err
		}
		after = inode(t)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside == before || nested == inside || nested == before || after != inside {
		t.Errorf("namespaces: before %d, inside %d, nested %d, after nested %d", before, inside, nested, after)
	}
	done := make(chan struct{})
	go func() { // ends inside Do, as t.FailNow does
		defer close(done)
		_ = top.Client.Do(func() error { runtime.Goexit(); return nil })
	}()
	<-done
	if got := inode(t); got != before {
		t.Errorf("namespace afterwards %d, want %d", got, before)
	}
}

func TestCommandsRunInsideAndDieWithTheNamespace(t *testing.T) {
	Require(t)
	n, err := New("cmd")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	var want uint64
	if err := n.Do(func() error { want = inode(t); return nil }); err != nil {
		t.Fatal(err)
	}
	out, err := n.Command(t.Context(), "readlink", "/proc/self/ns/net").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "net:["+strconv.FormatUint(want, 10)+"]" {
		t.Errorf("command ran in %s, want %d", got, want)
	}
	if _, err := n.Command(t.Context(), "sh", "-c", "echo no >&2; exit 3").CombinedOutput(); err == nil {
		t.Error("exit 3 is no error")
	}

	c := n.Command(context.Background(), "sleep", "1000")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(c.Process.Pid, 0); err != unix.ESRCH {
		t.Errorf("command after Close: %v, want %v", err, unix.ESRCH)
	}
	if err := n.Command(t.Context(), "true").Run(); err == nil {
		t.Error("a closed namespace runs commands")
	}
}

func TestSysctl(t *testing.T) {
	top := Start(t, Options{NoForward: true})
	if v, err := top.Gateway.Sysctl("net.ipv4.ip_forward"); err != nil || v != "0" {
		t.Errorf("ip_forward = %q, %v; want 0", v, err)
	}
	if err := top.Gateway.SetSysctl("net.ipv4.conf.lan0.rp_filter", "2"); err != nil {
		t.Fatal(err)
	}
	if v, err := top.Gateway.Sysctl("net.ipv4.conf.lan0.rp_filter"); err != nil || v != "2" {
		t.Errorf("rp_filter = %q, %v; want 2", v, err)
	}
	if _, err := top.Gateway.Sysctl("net.ipv4.no_such"); err == nil {
		t.Error("unknown sysctl is no error")
	}
}

func TestNamedNamespacesDisappear(t *testing.T) {
	Require(t)
	top, err := NewTopology(Options{Named: true})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{top.Client.Name, top.Gateway.Name, top.Server.Name}
	for _, name := range names {
		if _, err := os.Stat(bindDir + "/" + name); err != nil {
			t.Error(err)
		}
	}
	if err := top.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if _, err := os.Stat(bindDir + "/" + name); !os.IsNotExist(err) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	if err := top.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// TestTheHostSeesNoLink is the promise that tests cannot harm the machine.
func TestTheHostSeesNoLink(t *testing.T) {
	Require(t)
	before, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	Start(t, Options{})
	after, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	if len(before) != len(after) {
		t.Errorf("links of the host: %d before, %d while a topology exists", len(before), len(after))
	}
}

// TestEnterWithoutRoot runs one test of this binary as an unprivileged user.
func TestEnterWithoutRoot(t *testing.T) {
	if os.Getuid() != 0 || os.Getenv(childEnv) != "" {
		t.Skip("the whole run is already without root")
	}
	dir := t.TempDir()
	exe := dir + "/netns.test"
	src, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(exe, src, 0o755); err != nil {
		t.Fatal(err)
	}
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = d[:strings.LastIndexByte(d, '/')] {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(exe, "-test.run=^TestTrafficIsForwardedBetweenTheEnds$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "WEIR_E2E=")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("user namespaces are not allowed here:\n%s", out)
	}
	if !bytes.Contains(out, []byte("--- PASS: TestTrafficIsForwardedBetweenTheEnds")) {
		t.Errorf("no pass:\n%s", out)
	}
}
