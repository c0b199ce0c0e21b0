package intercept

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// residents are the kinds of rules of which each backend's resident mode is tested.
func residents(b Backend) map[string]Plan {
	return map[string]Plan{
		"tproxy":   {Backend: b, ListenPort: proxyPort},
		"redirect": {Backend: b, ListenPort: proxyPort, Redirect: true, Local: true},
	}
}

func TestTheGuardRemovesTheRulesOfAKilledProcess(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		for name, p := range residents(b) {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, 80)
				before := r.state()
				dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
				owner, guard := r.startGuarded(p)
				if (guard != 0) != p.NeedsGuard(Resident) {
					t.Errorf("guard %d, needs one: %v", guard, p.NeedsGuard(Resident))
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				r.until(ctx, "the proxy answers", func() bool { return strings.HasPrefix(r.get(r.Client, nil, dst), "proxy ") })
				if got := r.verify(p); got != nil {
					t.Errorf("verify: %v", got)
				}
				if _, err := r.tryApply(p, Resident); !errors.Is(err, ErrOwned) {
					t.Errorf("apply beside the owner: %v, want ErrOwned", err)
				}
				r.on(func() error {
					if err := Remove(DefaultName); !errors.Is(err, ErrOwned) {
						t.Errorf("remove beside the owner: %v, want ErrOwned", err)
					}
					return nil
				})
				_ = unix.Kill(owner.Process.Pid, unix.SIGKILL)
				_ = owner.Wait()
				killed := time.Now()
				r.until(ctx, "the server answers", func() bool { return r.get(r.Client, nil, dst) == "server" })
				t.Logf("the server answered %v after the owner's end", time.Since(killed))
				if !p.NeedsGuard(Resident) {
					r.on(func() error { return Remove(DefaultName) }) // policy rules
				}
				r.until(ctx, "all is as it was", func() bool { return r.state() == before })
			})
		}
	})
}

// TestTheLeaseEndsWhenTheGuardIsKilledToo kills both at once, as the end of a
// container does, and stops the owner, as a debugger does.
func TestTheLeaseEndsWhenTheGuardIsKilledToo(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		switch b {
		case NFT:
			t.Skip("the kernel removes the rules itself")
		case IPTablesLegacy:
			t.Skip("xt_recent is the same, and once is enough")
		}
		r := newRig(t, 80)
		dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
		owner, guard := r.startGuarded(Plan{Backend: b, ListenPort: proxyPort})
		passes := func() bool { return r.get(r.Client, nil, dst) == "server" }
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		_ = unix.Kill(owner.Process.Pid, unix.SIGSTOP)
		r.until(ctx, "connections pass a stopped owner", passes)
		_ = unix.Kill(owner.Process.Pid, unix.SIGCONT)
		r.until(ctx, "connections are taken again", func() bool { return !passes() })
		_ = unix.Kill(guard, unix.SIGKILL)
		_ = unix.Kill(owner.Process.Pid, unix.SIGKILL)
		_ = owner.Wait()
		killed := time.Now()
		r.until(ctx, "connections pass", passes)
		t.Logf("they passed %v after both ends", time.Since(killed))
		r.on(func() error { return Remove(DefaultName) })
	})
}

func TestAGuardHoldsTheLeaseOfInstalledRulesWhileSomebodyListens(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 80)
		before := r.state()
		p := Plan{Backend: b, ListenPort: proxyPort, Redirect: true, Local: true}
		h, err := r.tryApply(p, Installed)
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
		dst := netip.AddrPortFrom(r.ServerAddr6(), 80)
		passes := func() bool { return r.get(r.Client, nil, dst) == "server" && r.get(r.Gateway, nil, dst) == "server" }
		taken := func() bool {
			return strings.HasPrefix(r.get(r.Client, nil, dst), "proxy ") && strings.HasPrefix(r.get(r.Gateway, nil, dst), "proxy ")
		}
		ready, done := make(chan struct{}), make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		go func() {
			done <- r.Gateway.Do(func() error {
				return Guard(ctx, DefaultName, func() { close(ready) }, func(err error) { t.Error(err) })
			})
		}()
		select {
		case <-ready:
		case err := <-done:
			t.Fatal(err)
		}
		if s := r.status(DefaultName); s.Guard != os.Getpid() {
			t.Errorf("status: guard %d, want %d", s.Guard, os.Getpid())
		}
		r.on(func() error {
			if err := Guard(ctx, DefaultName, nil, nil); !errors.Is(err, ErrGuarded) {
				t.Errorf("a second guard: %v", err)
			}
			return nil
		})
		if !passes() {
			t.Error("nothing listens: taken")
		}
		ln := r.redirected()
		r.until(ctx, "connections are taken", taken)
		ln.Close()
		gone := time.Now()
		r.until(ctx, "connections pass", passes)
		t.Logf("they passed %v after the listener was closed", time.Since(gone))
		// The rules are replaced under the guard, by those of another plan.
		p.Redirect = false
		if h, err = r.tryApply(p, Installed); err != nil {
			t.Fatal(err)
		}
		h.Release()
		r.proxy()
		r.until(ctx, "connections are taken by other rules", taken)
		r.on(func() error { return Remove(DefaultName) })
		if err := <-done; err != nil {
			t.Errorf("the guard of removed rules: %v", err)
		}
		if s := r.status(DefaultName); s.Guard != 0 || s.Active {
			t.Errorf("status after Remove: %+v", s)
		}
		if after := r.state(); after != before {
			t.Errorf("state after Remove:\n%s\nbefore:\n%s", after, before)
		}
	})
}

func TestListenersAndWhatWaitsForThem(t *testing.T) {
	r := newRig(t)
	look := func(port uint16) (ls []listener) {
		t.Helper()
		r.on(func() (err error) { ls, err = listeners(port); return err })
		return ls
	}
	for _, c := range []struct {
		network, addr string
		want          Families
	}{
		{"tcp4", "127.0.0.1:7001", IPv4},
		{"tcp6", "[::]:7002", IPv6}, // Go asks for IPv6 only
		{"tcp", ":7003", IPv4 | IPv6},
		{"tcp", "[::1]:7004", IPv6},
	} {
		ln, err := r.Gateway.Listen(t.Context(), nil, c.network, c.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		port := netip.MustParseAddrPort(ln.Addr().String()).Port()
		if ls := look(port); len(ls) != 1 || ls[0].families != c.want || ls[0].waiting != 0 || ls[0].inode == 0 {
			t.Errorf("%s %s: %+v, want %s", c.network, c.addr, ls, c.want)
		}
	}
	conn, err := r.Gateway.Dial(t.Context(), nil, "tcp", "127.0.0.1:7003") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if ls := look(7003); len(ls) != 1 || ls[0].waiting != 1 {
		t.Errorf("one waits: %+v", ls)
	}
	if ls := look(7005); ls != nil {
		t.Errorf("nobody listens: %+v", ls)
	}
}

func TestStuckQueues(t *testing.T) {
	const both = IPv4 | IPv6
	for _, c := range []struct {
		name  string
		looks [][]listener // one each 500 ms
		want  Families     // at the last
	}{
		{"nobody", [][]listener{{}}, 0},
		{"idle", [][]listener{{{both, 1, 0}}, {{both, 1, 0}}, {{both, 1, 0}}, {{both, 1, 0}}, {{both, 1, 0}}}, both},
		{"stopped", [][]listener{{{both, 1, 1}}, {{both, 1, 1}}, {{both, 1, 2}}, {{both, 1, 2}}, {{both, 1, 3}}}, 0},
		{"not yet", [][]listener{{{both, 1, 1}}, {{both, 1, 1}}, {{both, 1, 2}}, {{both, 1, 2}}}, both},
		{"busy", [][]listener{{{both, 1, 5}}, {{both, 1, 7}}, {{both, 1, 6}}, {{both, 1, 9}}, {{both, 1, 9}}}, both},
		{"drained", [][]listener{{{both, 1, 5}}, {{both, 1, 5}}, {{both, 1, 5}}, {{both, 1, 5}}, {{both, 1, 5}}, {{both, 1, 0}}}, both},
		{
			"one of two",
			[][]listener{{{IPv4, 1, 1}, {IPv6, 2, 0}}, {{IPv4, 1, 1}, {IPv6, 2, 0}}, {{IPv4, 1, 1}, {IPv6, 2, 0}}, {{IPv4, 1, 1}, {IPv6, 2, 1}}, {{IPv4, 1, 1}, {IPv6, 2, 0}}},
			IPv6,
		},
		{"another socket", [][]listener{{{both, 1, 1}}, {{both, 1, 1}}, {{both, 1, 1}}, {{both, 1, 1}}, {{both, 2, 1}}}, both},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s stuckQueues
			var got Families
			now := time.Unix(0, 0)
			for _, ls := range c.looks {
				got = s.working(ls, now)
				now = now.Add(stuckAfter / 4)
			}
			if got != c.want {
				t.Errorf("got %d, want %d: %s", got, c.want, fmt.Sprint(c.looks))
			}
		})
	}
}
