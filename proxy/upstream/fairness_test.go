package upstream

import (
	"context"
	"net/netip"
	"sync"
	"testing"

	"github.com/weirproxy/weir/proxy/info"
)

// Connections that fit go to those who want them, but nobody waits for ever
// behind them.
func TestWaiterForAnotherHostIsNotStarved(t *testing.T) {
	a, b := newOrigin(t), newOrigin(t)
	r := newRig(t, Options{})
	cfg := static("x", a.addr, b.addr)
	cfg.Default.MaxConnections = 1
	r.apply(cfg)
	c, ctx := r.get("x"), context.Background()
	var ha, hb *Host
	c.eachHost(func(h *Host) bool {
		if h.Address() == a.addr {
			ha = h
		} else {
			hb = h
		}
		return true
	})
	held, err := c.OpenHTTP(ctx, ha, &OpenInfo{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var order []*Host
	var wg sync.WaitGroup
	wait := func(h *Host) {
		n := c.Usage(false).Waiting
		wg.Go(func() {
			at, err := c.OpenHTTP(ctx, h, &OpenInfo{})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			order = append(order, h)
			mu.Unlock()
			at.Release()
		})
		until(t, "it waits", func() bool { return c.Usage(false).Waiting == n+1 })
	}
	wait(hb)
	for range 3 * patience {
		wait(ha)
	}
	held.Release()
	wg.Wait()
	at := -1
	for i, h := range order {
		if h == hb {
			at = i
		}
	}
	if at < 0 || at > patience+1 {
		t.Errorf("the first in the queue was served as number %d of %d", at+1, len(order))
	}
	if u := c.Usage(false); u.Connections != 1 || u.Waiting != 0 {
		t.Errorf("usage %+v", u)
	}
}

// A connection bound to one client's address is never used for another client.
func TestConnectionsOfSourcesAreNotMixed(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	from := func(s string) *OpenInfo { return &OpenInfo{Source: netip.AddrPortFrom(netip.MustParseAddr(s), 0)} }
	use := func(i *OpenInfo) (*Attempt, bool) {
		at := mustOpen(t, c, i)
		roundTrip(t, at)
		defer at.Release()
		if got, want := at.LocalAddr().Addr(), i.Source.Addr(); want.IsValid() && got != want {
			t.Errorf("bound to %s, want %s", got, want)
		}
		return at, at.Reused
	}
	two, _ := use(from("127.0.0.2"))
	if at, reused := use(from("127.0.0.3")); reused || at == two {
		t.Error("127.0.0.3 got a connection of 127.0.0.2")
	}
	if _, reused := use(&OpenInfo{}); reused {
		t.Error("a connection of a client was used for nobody's")
	}
	if at, reused := use(from("127.0.0.2")); !reused || at != two {
		t.Error("127.0.0.2 did not get its own connection again")
	}
	if _, reused := use(&OpenInfo{High: true}); reused {
		t.Error("priorities share a connection")
	}
	info := from("127.0.0.2")
	ctx, h := context.Background(), two.Host
	if n := testing.AllocsPerRun(100, func() {
		at, err := c.OpenHTTP(ctx, h, info)
		if err != nil {
			t.Fatal(err)
		}
		at.Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	h.idle.drain()
	if st := c.Stats(); st.CxActive.Value() != 0 || h.idle.size() != 0 {
		t.Errorf("%d connections after draining", st.CxActive.Value())
	}
}

func TestSourceThatCannotBeBoundIsOurFault(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	h, _ := c.Pick(&PickInfo{})
	_, err := c.OpenHTTP(context.Background(), h, &OpenInfo{Source: netip.MustParseAddrPort("192.0.2.1:0")})
	if err == nil || err.Flag != info.UpstreamConnectionFailure || err.Details != DetailsLocalFailure {
		t.Fatalf("got %+v", err)
	}
	if st := c.Stats(); st.BindErrors.Value() != 1 || st.CxActive.Value() != 0 || c.Hosts()[0].RqError != 0 {
		t.Errorf("bind_errors %d cx_active %d rq_error %d", st.BindErrors.Value(), st.CxActive.Value(), c.Hosts()[0].RqError)
	}
}
