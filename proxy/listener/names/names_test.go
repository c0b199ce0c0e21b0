package names

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// zone answers after a second, from what it has.
type zone struct {
	mu    sync.Mutex
	addrs map[string][]netip.Addr // guarded by mu
	fails bool                    // guarded by mu
	asked int                     // guarded by mu
}

func (z *zone) Resolve(ctx context.Context, name string, _ cluster.DNSFamily) ([]netip.Addr, time.Duration, error) {
	z.mu.Lock()
	z.asked++
	addrs, fails := z.addrs[name], z.fails
	z.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	switch {
	case fails:
		return nil, 0, errors.New("no server")
	case addrs == nil:
		return nil, time.Minute, fmt.Errorf("resolve: %w", dns.ErrNoSuchName)
	}
	return addrs, time.Minute, nil
}

func (z *zone) set(name string, addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.addrs[name] = addrs
}

var one, two, six = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("2001:db8::1")

// lab runs f with a Checker in a bubble.
func lab(t *testing.T, f func(t *testing.T, c *Checker, z *zone)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		z := &zone{addrs: map[string][]netip.Addr{"a.test": {one, six}}}
		c := New(z)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		synctest.Wait()
		f(t, c, z)
		cancel()
		<-done
	})
}

// pass lets the time of the bubble pass.
func pass(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	<-t.C
}

func (c *Checker) now(name string, a netip.Addr) info.NameVerdict {
	v, _ := c.Check([]byte(name), a)
	return v
}

func TestWhatNeedsNoLookup(t *testing.T) {
	c := New(&zone{})
	f := func(name string, dest string, want info.NameVerdict) {
		t.Helper()
		a, _ := netip.ParseAddr(dest)
		if got := c.now(name, a); got != want {
			t.Errorf("%q to %s: %q, want %q", name, dest, got, want)
		}
	}
	f("", "192.0.2.1", info.NameUnchecked)
	f("a.test", "", info.NameUnchecked)
	f("192.0.2.1", "192.0.2.1", info.NameMatches)
	f("192.0.2.1", "::ffff:192.0.2.1", info.NameMatches)
	f("192.0.2.1", "192.0.2.2", info.NameMismatch)
	f("2001:db8::1", "2001:db8::1", info.NameMatches)
	f("invalid:a_b", "192.0.2.1", info.NameMismatch)
	f("a..b", "192.0.2.1", info.NameMismatch)
	f(strings.Repeat("a", 64)+".test", "192.0.2.1", info.NameMismatch)
	f(strings.Repeat("a.", 127)+"test", "192.0.2.1", info.NameMismatch)
	f("a.test", "192.0.2.1", info.NameUnknown) // nobody looks it up
}

func TestANameIsLookedUpOnce(t *testing.T) {
	lab(t, func(t *testing.T, c *Checker, z *zone) {
		for range 3 {
			if v := c.now("a.test", one); v != info.NameUnknown {
				t.Errorf("%q before there is an answer", v)
			}
		}
		if v := c.Wait(context.Background(), []byte("a.test"), two, time.Minute); v != info.NameMismatch {
			t.Errorf("%q", v)
		}
		if v := c.now("a.test", one); v != info.NameMatches {
			t.Errorf("%q", v)
		}
		if v := c.now("a.test", six); v != info.NameMatches {
			t.Errorf("%q", v)
		}
		if z.asked != 1 {
			t.Errorf("asked %d times", z.asked)
		}
		if v := c.Wait(context.Background(), []byte("none.test"), one, time.Minute); v != info.NameMismatch {
			t.Errorf("of a name that does not exist: %q", v)
		}
	})
}

func TestWaitingIsBounded(t *testing.T) {
	lab(t, func(t *testing.T, c *Checker, _ *zone) {
		start := time.Now()
		if v := c.Wait(context.Background(), []byte("a.test"), one, time.Millisecond); v != info.NameUnknown || time.Since(start) != time.Millisecond {
			t.Errorf("%q after %v", v, time.Since(start))
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if v := c.Wait(ctx, []byte("a.test"), one, time.Hour); v != info.NameUnknown {
			t.Errorf("%q", v)
		}
		pass(time.Second)
		synctest.Wait()
	})
}

func TestAnAddressCountsForAWhile(t *testing.T) {
	lab(t, func(t *testing.T, c *Checker, z *zone) {
		ask := func(a netip.Addr) info.NameVerdict {
			return c.Wait(context.Background(), []byte("a.test"), a, time.Minute)
		}
		if v := ask(one); v != info.NameMatches {
			t.Fatal(v)
		}
		z.set("a.test", two)
		pass(2 * time.Minute)
		if v := ask(two); v != info.NameMatches {
			t.Errorf("the new one: %q", v)
		}
		if v := ask(one); v != info.NameMatches {
			t.Errorf("the old one: %q", v)
		}
		pass(time.Hour)
		if v := ask(one); v != info.NameMismatch {
			t.Errorf("the old one an hour later: %q", v)
		}
	})
}

func TestWhatCannotBeLookedUpIsUnknown(t *testing.T) {
	lab(t, func(t *testing.T, c *Checker, z *zone) {
		z.fails = true
		for range 3 {
			if v := c.Wait(context.Background(), []byte("a.test"), two, time.Minute); v != info.NameUnknown {
				t.Errorf("%q", v)
			}
		}
		if z.asked != 1 {
			t.Errorf("asked %d times", z.asked)
		}
		z.mu.Lock()
		z.fails = false
		z.mu.Unlock()
		pass(2 * retryTTL)
		if v := c.Wait(context.Background(), []byte("a.test"), two, time.Minute); v != info.NameMismatch {
			t.Errorf("%q", v)
		}
	})
}

func TestLookupsAndNamesAreBounded(t *testing.T) {
	lab(t, func(t *testing.T, c *Checker, z *zone) {
		for i := range 2 * maxNames {
			c.now(fmt.Sprintf("n%d.test", i), one)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if z.asked != maxLookups || len(c.by) != maxNames || c.used.Len() != maxNames {
			t.Errorf("%d look-ups, %d names", z.asked, len(c.by))
		}
	})
}

func TestKnownNamesAllocateNothing(t *testing.T) {
	c := New(&zone{})
	c.mu.Lock()
	c.entry([]byte("a.test"))
	c.mu.Unlock()
	c.by["a.test"].Value.(*entry).addrs = []seen{{one, time.Now()}}
	name, buf := []byte("a.test"), make([]byte, 0, 64)
	if n := testing.AllocsPerRun(100, func() {
		buf = Host(buf[:0], []byte("A.test:80"))
		if v, _ := c.Check(name, one); v != info.NameMatches {
			t.Error(v)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestHost(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a.test": "a.test", "A.TEST:80": "a.test", "a.test.:80": "a.test", "[2001:db8::1]:443": "2001:db8::1", "[2001:db8::1]": "2001:db8::1",
		"192.0.2.1:80": "192.0.2.1", ".": ".", "[broken": "", ":80": "",
	} {
		if got := string(Host(nil, []byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzHost: whatever the authority, what Check makes of it is a verdict, and a name that is looked up is one.
func FuzzHost(f *testing.F) {
	for _, s := range []string{"a.test", "A.test.:80", "[::1]:80", "[::ffff:1.2.3.4]", "a..b", "%41", "1.2.3.4"} {
		f.Add([]byte(s))
	}
	c := New(&zone{})
	f.Fuzz(func(t *testing.T, b []byte) {
		name := Host(nil, b)
		if len(name) > len(b) {
			t.Fatalf("%q is longer than %q", name, b)
		}
		if v, more := c.Check(name, one); more != nil || v == "" && len(name) > 0 {
			t.Fatalf("%q: %q", name, v)
		}
	})
}
