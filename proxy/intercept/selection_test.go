package intercept

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// as dials from the gateway as another user or group would, if not 0.
func (r *rig) as(uid, gid uint32, dst netip.AddrPort) (line string) {
	r.t.Helper()
	r.on(func() error { // on a locked thread
		for _, x := range []struct {
			call uintptr
			id   uint32
		}{{unix.SYS_SETFSGID, gid}, {unix.SYS_SETFSUID, uid}} {
			if _, _, e := unix.RawSyscall(x.call, uintptr(x.id), 0, 0); e != 0 {
				return e
			}
		}
		line = r.get(r.Gateway, nil, dst)
		for _, call := range []uintptr{unix.SYS_SETFSUID, unix.SYS_SETFSGID} {
			if _, _, e := unix.RawSyscall(call, 0, 0, 0); e != 0 {
				runtime.Goexit()
			}
		}
		return nil
	})
	return line
}

func TestSelectsLocalProgramsByUserAndGroup(t *testing.T) {
	eachBackend(t, testSelectsByUserAndGroup)
}

func testSelectsByUserAndGroup(t *testing.T, b Backend) {
	r := newRig(t, 80)
	r.proxy()
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	for _, redirect := range []bool{false, true} {
		for _, c := range []struct {
			name     string
			p        Plan
			uid, gid uint32
			take     bool
		}{
			{"of the user", Plan{IncludePrograms: Programs{UIDs: []IDRange{{1000, 1000}}}}, 1000, 0, true},
			{"of another user", Plan{IncludePrograms: Programs{UIDs: []IDRange{{1000, 1000}}}}, 1001, 0, false},
			{"within a range", Plan{IncludePrograms: Programs{UIDs: []IDRange{{5, 5}, {1000, 70000}}}}, 66000, 0, true},
			{"below a range", Plan{IncludePrograms: Programs{UIDs: []IDRange{{1000, 70000}}}}, 999, 0, false},
			{"above a range", Plan{IncludePrograms: Programs{UIDs: []IDRange{{1000, 1255}}}}, 1256, 0, false},
			{"user or group", Plan{IncludePrograms: Programs{UIDs: []IDRange{{5, 5}}, GIDs: []IDRange{{33, 34}}}}, 6, 34, true},
			{"neither", Plan{IncludePrograms: Programs{UIDs: []IDRange{{5, 5}}, GIDs: []IDRange{{33, 34}}}}, 6, 35, false},
			{"excluded user", Plan{ExcludePrograms: Programs{UIDs: []IDRange{{1000, 1000}}}}, 1000, 0, false},
			{"not excluded user", Plan{ExcludePrograms: Programs{UIDs: []IDRange{{1000, 1000}}}}, 0, 0, true},
			{"excluded of the included", Plan{IncludePrograms: Programs{UIDs: []IDRange{{1, 9}}}, ExcludePrograms: Programs{GIDs: []IDRange{{7, 7}}}}, 5, 7, false},
		} {
			t.Run(fmt.Sprintf("%s,redirect=%v", c.name, redirect), func(t *testing.T) {
				c.p.ListenPort, c.p.Local, c.p.Redirect, c.p.Backend = proxyPort, true, redirect, b
				h := r.apply(c.p, Resident)
				if got := r.as(c.uid, c.gid, dst); strings.HasPrefix(got, "proxy") != c.take || got == "" {
					t.Errorf("got %q, want taken: %v", got, c.take)
				}
				if got := r.verify(c.p); got != nil {
					t.Errorf("verify: %v", got)
				}
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// cgroup makes a cgroup of v2 for the test.
func cgroup(t *testing.T) (name string, dir *os.File) {
	t.Helper()
	root, err := cgroupRoot()
	if err != nil {
		t.Skip(err)
	}
	path, err := os.MkdirTemp(root, "weir-test-")
	if err != nil {
		t.Skipf("no cgroup can be made here: %v", err)
	}
	t.Cleanup(func() {
		// A cgroup is empty a moment after its last process has been waited for.
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for range 400 {
			if err = os.Remove(path); !errors.Is(err, unix.EBUSY) {
				break
			}
			<-tick.C
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	})
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return filepath.Base(path), f
}

func TestSelectsLocalProgramsByCgroup(t *testing.T) { eachBackend(t, testSelectsByCgroup) }

func testSelectsByCgroup(t *testing.T, b Backend) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip(err)
	}
	r := newRig(t, 80)
	name, dir := cgroup(t)
	r.proxy()
	dial := func(in *os.File) string {
		t.Helper()
		c := r.Gateway.Command(t.Context(), bash, "-c", fmt.Sprintf("exec 3<>/dev/tcp/%s/80 && cat <&3", r.ServerAddr4()))
		if in != nil {
			c.SysProcAttr.UseCgroupFD, c.SysProcAttr.CgroupFD = true, int(in.Fd())
		}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL) {
			t.Skipf("no program can be started in a cgroup: %v", err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if strings.HasPrefix(string(out), "proxy") {
			return "proxy"
		}
		return string(out)
	}
	for _, c := range []struct {
		p           Plan
		in, without string
	}{
		{Plan{IncludePrograms: Programs{Cgroups: []string{name}}}, "proxy", "server"},
		{Plan{ExcludePrograms: Programs{Cgroups: []string{name}}}, "server", "proxy"},
	} {
		c.p.ListenPort, c.p.Local, c.p.Backend = proxyPort, true, b
		h := r.apply(c.p, Resident)
		if in, without := dial(dir), dial(nil); in != c.in || without != c.without {
			t.Errorf("%v: in the cgroup %q, outside %q; want %q, %q", c.p.summary(), in, without, c.in, c.without)
		}
		if got := r.verify(c.p); got != nil {
			t.Errorf("verify: %v", got)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
	if b != NFT {
		return // iptables-restore says so in its own words
	}
	if _, err := r.tryApply(Plan{ListenPort: proxyPort, Local: true, ExcludePrograms: Programs{Cgroups: []string{"no/such/cgroup"}}}, Resident); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("apply with a cgroup that is not there: %v", err)
	}
}

// TestACgroupMadeAnewIsFound: the kernel's rule names the old one.
func TestACgroupMadeAnewIsFound(t *testing.T) {
	r := newRig(t)
	name, dir := cgroup(t)
	p := Plan{ListenPort: proxyPort, Local: true, OnDown: Drop, ExcludePrograms: Programs{Cgroups: []string{name}}}
	h := r.apply(p, Resident)
	if err := os.Remove(dir.Name()); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(r.verify(p)); !strings.Contains(got, "cgroup-missing") {
		t.Errorf("without the cgroup: %s", got)
	}
	if err := os.Mkdir(dir.Name(), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(slices.Compact(r.verify(p))); got != "[rule-drift]" { // in the plan's table and the closed one
		t.Errorf("with another cgroup of its name: %s", got)
	}
	if err := h.Reapply(p); err != nil {
		t.Fatal(err)
	}
	if got := r.verify(p); got != nil {
		t.Errorf("applied again: %v", got)
	}
}

func TestCgroupMount(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate", "/sys/fs/cgroup"},
		{"35 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 none rw", "/sys/fs/cgroup/unified"},
		{"35 24 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", ""},
		{"35 24 0:30 - cgroup2", ""},
		{"", ""},
	} {
		if got, _ := cgroupMount(c.line); got != c.want {
			t.Errorf("%q: got %q, want %q", c.line, got, c.want)
		}
	}
}

func TestSelectsByMark(t *testing.T) { eachBackend(t, testSelectsByMark) }

func testSelectsByMark(t *testing.T, b Backend) {
	r := newRig(t, 80)
	r.proxy()
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	for _, c := range []struct {
		name string
		p    Plan
		mark int
		take bool
	}{
		{"included", Plan{IncludeMarks: []MarkMatch{{5, 0xf}, {0x40, 0xf0}}}, 0x47, true},
		{"not included", Plan{IncludeMarks: []MarkMatch{{5, 0xf}, {0x40, 0xf0}}}, 0x57, false},
		{"excluded", Plan{ExcludeMarks: []MarkMatch{{0x50, 0xf0}}}, 0x57, false},
		{"not excluded", Plan{ExcludeMarks: []MarkMatch{{0x50, 0xf0}}}, 0x47, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.ListenPort, c.p.Local, c.p.Backend = proxyPort, true, b
			h := r.apply(c.p, Resident)
			d := &net.Dialer{Control: sockopt(unix.SOL_SOCKET, unix.SO_MARK, c.mark)}
			if got := r.get(r.Gateway, d, dst); strings.HasPrefix(got, "proxy") != c.take || got == "" {
				t.Errorf("local: got %q, want taken: %v", got, c.take)
			}
			r.markEntering(c.mark)
			if got := r.get(r.Client, nil, dst); strings.HasPrefix(got, "proxy") != c.take || got == "" {
				t.Errorf("forwarded: got %q, want taken: %v", got, c.take)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// markEntering marks the packets that enter the gateway, as another program's rules would.
func (r *rig) markEntering(mark int) {
	r.t.Helper()
	nft, err := exec.LookPath("nft")
	if err != nil {
		r.t.Skip(err)
	}
	r.nft(nft, r.Gateway, fmt.Sprintf("table inet marker\ndelete table inet marker\ntable inet marker { chain c { type filter hook prerouting priority -300; iifname \"lan0\" meta mark set %d; }; }\n", mark))
}

func (r *rig) nft(nft string, ns *netns.NS, text string) {
	r.t.Helper()
	c := ns.Command(r.t.Context(), nft, "-f", "-")
	c.Stdin = strings.NewReader(text)
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("nft: %v\n%s", err, out)
	}
}

// TestThousandsOfCIDRsAreQuick: they are one interval set, filled in one transaction.
func TestThousandsOfCIDRsAreQuick(t *testing.T) {
	r := newRig(t, 80)
	r.proxy()
	p := Plan{ListenPort: proxyPort}
	for i := range 5000 {
		// Neither touching nor overlapping.
		p.ExcludeCIDRs = append(p.ExcludeCIDRs,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(20 + i>>12), byte(i >> 4), byte(i << 4), 0}), 25),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 4: byte(i >> 7), 5: byte(i << 1)}), 48))
	}
	p.ExcludeCIDRs = append(p.ExcludeCIDRs, netip.PrefixFrom(r.ServerAddr4(), 32))
	began := time.Now()
	h := r.apply(p, Resident)
	applied := time.Since(began)
	if got := r.verify(p); got != nil {
		t.Errorf("verify: %v", got)
	}
	verified := time.Since(began) - applied
	if err := h.Reapply(p); err != nil {
		t.Error(err)
	}
	t.Logf("%d CIDRs: applied in %s, verified in %s", len(p.ExcludeCIDRs), applied, verified)
	if whole := time.Since(began); whole > 20*time.Second { // far more than a loaded machine takes
		t.Errorf("took %s", whole)
	}
	if got := r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr4(), 80)); got != "server" {
		t.Errorf("excluded: got %q", got)
	}
	if got := r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr6(), 80)); !strings.HasPrefix(got, "proxy") {
		t.Errorf("not excluded: got %q", got)
	}
}
