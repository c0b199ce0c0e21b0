package intercept

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
)

func TestTakesConnectionsAndKeepsTheirDestination(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		for _, mode := range []Mode{Resident, Installed} {
			t.Run(mode.String(), func(t *testing.T) {
				r := newRig(t, 80, 8080)
				before := r.state()
				r.proxy()
				p := Plan{Backend: b, ListenPort: proxyPort, Ports: []PortRange{Port(80)}}
				h := r.apply(p, mode)
				for _, e := range []struct{ client, server netip.Addr }{
					{r.ClientAddr4(), r.ServerAddr4()}, {r.ClientAddr6(), r.ServerAddr6()},
				} {
					dst := netip.AddrPortFrom(e.server, 80)
					if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, e.client); got != want {
						t.Errorf("%s: got %q, want %q", dst, got, want)
					}
					other := netip.AddrPortFrom(e.server, 8080)
					if got := r.get(r.Client, nil, other); got != "server" {
						t.Errorf("%s: got %q, want the server", other, got)
					}
				}
				if got := r.verify(p); got != nil {
					t.Errorf("verify: %v", got)
				}
				s := r.status(DefaultName)
				if !s.Active || s.Mode != mode.String() || s.Intercepted() != 2 || s.Missed() != 0 {
					t.Errorf("status: %+v", s)
				}
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
				if after := r.state(); after != before {
					t.Errorf("state after Close:\n%s\nbefore:\n%s", after, before)
				}
				dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
				if got := r.get(r.Client, nil, dst); got != "server" {
					t.Errorf("after Close: got %q, want the server", got)
				}
			})
		}
	})
}

func TestPassesWhileNothingListens(t *testing.T) {
	r := newRig(t, 80)
	p := Plan{ListenPort: proxyPort}
	r.apply(p, Installed)
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	if got := r.get(r.Client, nil, dst); got != "server" {
		t.Errorf("on_down pass: got %q, want the server", got)
	}
	if s := r.status(DefaultName); s.Missed() != 1 {
		t.Errorf("missed = %d, want 1", s.Missed())
	}
	p.OnDown = Drop
	r.apply(p, Installed)
	if got := r.get(r.Client, &net.Dialer{Timeout: 300e6}, dst); got != "timeout" {
		t.Errorf("on_down drop: got %q, want timeout", got)
	}
	r.proxy()
	if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, r.ClientAddr4()); got != want {
		t.Errorf("on_down drop with a listener: got %q, want %q", got, want)
	}
}
