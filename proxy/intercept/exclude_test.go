package intercept

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestLeavesAloneWhatThePlanExcludes(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 22, 53, 80, 81)
		r.proxy()
		for _, c := range []struct {
			name string
			p    Plan
			port uint16
			v6   bool
			take bool
		}{
			{name: "everything is taken", port: 80, take: true},
			{name: "everything is taken, IPv6", port: 80, v6: true, take: true},
			{name: "ssh is not", port: 22},
			{name: "dns is not", port: 53},
			{name: "unless dns is asked for", p: Plan{DNS: true}, port: 53, take: true},
			{name: "unless asked", p: Plan{SSH: true}, port: 22, take: true},
			{name: "excluded port", p: Plan{ExcludePorts: []PortRange{{80, 90}}}, port: 81},
			{name: "other port", p: Plan{Ports: []PortRange{Port(80)}}, port: 81},
			{name: "excluded CIDR", p: Plan{ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.91.2.0/24")}}, port: 80},
			{name: "excluded CIDR of the other family", p: Plan{ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.91.2.0/24")}}, port: 80, v6: true, take: true},
			{name: "excluded CIDR, IPv6", p: Plan{ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("fd91:2::/64")}}, port: 80, v6: true},
			{name: "included CIDR", p: Plan{IncludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.91.2.2/32")}}, port: 80, take: true},
			{name: "not included", p: Plan{IncludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.91.2.3/32")}}, port: 80},
			{name: "not included, other family", p: Plan{IncludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.91.2.2/32")}}, port: 80, v6: true},
			{name: "excluded endpoint", p: Plan{ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("10.91.2.2:80")}}, port: 80},
			{name: "other port of it", p: Plan{ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("10.91.2.2:80")}}, port: 81, take: true},
			{name: "excluded endpoint, IPv6", p: Plan{ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("[fd91:2::2]:80")}}, port: 80, v6: true},
			{name: "other interface", p: Plan{Interfaces: []string{"wan0"}}, port: 80},
			{name: "this interface", p: Plan{Interfaces: []string{"wan0", "lan0"}}, port: 80, take: true},
			{name: "other family", p: Plan{Families: IPv4}, port: 80, v6: true},
			{name: "this family", p: Plan{Families: IPv6}, port: 80, v6: true, take: true},
		} {
			t.Run(c.name, func(t *testing.T) {
				c.p.Backend, c.p.ListenPort = b, proxyPort
				h := r.apply(c.p, Resident)
				defer h.Close()
				dst, client := netip.AddrPortFrom(r.ServerAddr4(), c.port), r.ClientAddr4()
				if c.v6 {
					dst, client = netip.AddrPortFrom(r.ServerAddr6(), c.port), r.ClientAddr6()
				}
				want := "server"
				if c.take {
					want = fmt.Sprintf("proxy %s from %s", dst, client)
				}
				if got := r.get(r.Client, nil, dst); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		}
	})
}

func TestLeavesThisMachinesAddressesAlone(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t)
		r.proxy()
		r.answer(r.Gateway, nil, ":9901", func(net.Conn) string { return "admin" })
		p := Plan{Backend: b, ListenPort: proxyPort}
		h := r.apply(p, Resident)
		admin := netip.AddrPortFrom(r.GatewayAddr4(), 9901)
		if got := r.get(r.Client, nil, admin); got != "admin" {
			t.Errorf("got %q, want admin", got)
		}
		// The listener itself can be reached: the proxy refuses such connections by
		// OwnListener, since their local address is its own.
		own := netip.AddrPortFrom(r.GatewayAddr4(), proxyPort)
		if got, want := r.get(r.Client, nil, own), fmt.Sprintf("proxy %s from %s", own, r.ClientAddr4()); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		p.IncludeLocal = true
		if err := h.Reapply(p); err != nil {
			t.Fatal(err)
		}
		if got, want := r.get(r.Client, nil, admin), fmt.Sprintf("proxy %s from %s", admin, r.ClientAddr4()); got != want {
			t.Errorf("include local: got %q, want %q", got, want)
		}
		p.ExcludeAddrPorts = []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:9901")}
		if err := h.Reapply(p); err != nil {
			t.Fatal(err)
		}
		if got := r.get(r.Client, nil, admin); got != "admin" {
			t.Errorf("own listener excluded: got %q, want admin", got)
		}
	})
}

// echo is a connection that one side opened and the other echoes.
func (r *rig) echo(dst netip.AddrPort) func() error {
	r.t.Helper()
	c, err := r.Client.Dial(r.t.Context(), nil, "tcp", dst.String())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return func() error {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
}

// echoServer echoes on the listener.
func (r *rig) echoServer(ln net.Listener, err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	r.t.Cleanup(func() { ln.Close() })
}

// TestOpenConnectionsKeepTheirWay is why only SYNs are decided upon.
func TestOpenConnectionsKeepTheirWay(t *testing.T) {
	r := newRig(t)
	r.echoServer(r.Server.Listen(t.Context(), nil, "tcp", ":7"))
	r.echoServer(r.Gateway.Listen(t.Context(), &net.ListenConfig{Control: transparent}, "tcp", fmt.Sprintf(":%d", proxyPort)))
	dst := netip.AddrPortFrom(r.ServerAddr4(), 7)

	direct := r.echo(dst)
	h := r.apply(Plan{ListenPort: proxyPort}, Resident)
	if err := direct(); err != nil {
		t.Errorf("connection open before Apply: %v", err)
	}
	taken := r.echo(dst)
	if err := taken(); err != nil {
		t.Fatal(err)
	}
	if err := h.Reapply(Plan{ListenPort: proxyPort, ExcludePorts: []PortRange{Port(7)}}); err != nil {
		t.Fatal(err)
	}
	if err := taken(); err != nil {
		t.Errorf("intercepted connection after its port was excluded: %v", err)
	}
	if err := direct(); err != nil {
		t.Errorf("direct connection after Reapply: %v", err)
	}
	if s := r.status(DefaultName); s.Intercepted() != 0 {
		t.Errorf("intercepted %d since Reapply, want 0", s.Intercepted())
	}
}

// TestReusedPortIsIntercepted is PERFORMANCE rule 12: a SYN that meets a TIME_WAIT
// socket must reach tproxy.
func TestReusedPortIsIntercepted(t *testing.T) {
	r := newRig(t, 80)
	r.proxy() // closes first, so that its side holds the TIME_WAIT
	r.apply(Plan{ListenPort: proxyPort}, Resident)
	for _, e := range []struct{ client, server netip.Addr }{{r.ClientAddr4(), r.ServerAddr4()}, {r.ClientAddr6(), r.ServerAddr6()}} {
		dst := netip.AddrPortFrom(e.server, 80)
		d := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.client, 40000))}
		d.Control = reuseAddr
		want := fmt.Sprintf("proxy %s from %s", dst, e.client)
		for i := range 5 {
			if got := r.get(r.Client, d, dst); got != want {
				t.Fatalf("%s, use %d of the port: got %q, want %q", dst, i+1, got, want)
			}
		}
	}
	// A SYN that missed tproxy would be answered by the TIME_WAIT socket and sent again.
	if n := r.synRetrans(r.Client); n != 0 {
		t.Errorf("the client sent %d SYNs again", n)
	}
	if s := r.status(DefaultName); s.Intercepted() != 10 {
		t.Errorf("intercepted %d, want 10", s.Intercepted())
	}
}

// TestMarksDoNotLeakIntoSourceChecks: settings of other programs under which
// textbook TPROXY rules drop everything.
func TestMarksDoNotLeakIntoSourceChecks(t *testing.T) {
	for _, keys := range [][]string{
		{"net.ipv4.conf.all.src_valid_mark"},
		{"net.ipv4.conf.all.src_valid_mark", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lan0.rp_filter"},
		{"net.ipv4.tcp_fwmark_accept"},
		{"net.ipv4.fwmark_reflect", "net.ipv6.fwmark_reflect"},
	} {
		t.Run(keys[len(keys)-1], func(t *testing.T) {
			r := newRig(t, 80)
			for _, k := range keys {
				if err := r.Gateway.SetSysctl(k, "1"); err != nil {
					t.Fatal(err)
				}
			}
			r.proxy()
			p := Plan{ListenPort: proxyPort}
			r.apply(p, Resident)
			for _, e := range []struct{ client, server netip.Addr }{{r.ClientAddr4(), r.ServerAddr4()}, {r.ClientAddr6(), r.ServerAddr6()}} {
				dst := netip.AddrPortFrom(e.server, 80)
				if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, e.client); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
			}
			if got := r.verify(p); got != nil {
				t.Errorf("verify: %v", got)
			}
		})
	}
}

func TestRepliesToSpoofedClientsComeBack(t *testing.T) {
	r := newRig(t)
	r.answer(r.Server, nil, ":80", func(c net.Conn) string { return "server saw " + hostOf(c.RemoteAddr()) })
	for _, e := range []struct{ client, server netip.Addr }{{r.ClientAddr4(), r.ServerAddr4()}, {r.ClientAddr6(), r.ServerAddr6()}} {
		d := &net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.client, 0)), Control: spoof, Timeout: 300 * time.Millisecond}
		dst := netip.AddrPortFrom(e.server, 80)
		p := Plan{ListenPort: proxyPort, Interfaces: []string{"lan0"}}
		h := r.apply(p, Resident)
		if got := r.get(r.Gateway, d, dst); got != "timeout" {
			t.Errorf("without reply_spoofed: got %q, want timeout", got)
		}
		p.ReplySpoofed = true
		if err := h.Reapply(p); err != nil {
			t.Fatal(err)
		}
		d.Timeout = 0
		if got, want := r.get(r.Gateway, d, dst), "server saw "+e.client.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
		h.Close()
	}
}

func TestTakesLocalProgramsButNotItself(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 22, 80, 81)
		r.proxy()
		r.answer(r.Gateway, nil, ":9901", func(net.Conn) string { return "admin" })
		r.echoServer(r.Server.Listen(t.Context(), nil, "tcp", ":7"))
		before := r.state()
		conn, err := r.Gateway.Dial(t.Context(), nil, "tcp", netip.AddrPortFrom(r.ServerAddr4(), 7).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()

		p := Plan{Backend: b, ListenPort: proxyPort, Local: true, ExcludePorts: []PortRange{Port(81)}}
		h := r.apply(p, Resident)
		own := &net.Dialer{Control: ownMark}
		for _, v6 := range []bool{false, true} {
			server, from, gateway := r.ServerAddr4(), netip.MustParseAddr("10.91.2.1"), r.GatewayAddr4()
			if v6 {
				server, from, gateway = r.ServerAddr6(), netip.MustParseAddr("fd91:2::1"), r.GatewayAddr6()
			}
			dst := netip.AddrPortFrom(server, 80)
			if got, want := r.get(r.Gateway, nil, dst), fmt.Sprintf("proxy %s from %s", dst, from); got != want {
				t.Errorf("local program: got %q, want %q", got, want)
			}
			if got := r.get(r.Gateway, own, dst); got != "server" {
				t.Errorf("own mark: got %q, want the server", got)
			}
			for _, port := range []uint16{22, 81} {
				if got := r.get(r.Gateway, nil, netip.AddrPortFrom(server, port)); got != "server" {
					t.Errorf("excluded port %d: got %q, want the server", port, got)
				}
			}
			if got := r.get(r.Gateway, nil, netip.AddrPortFrom(gateway, 9901)); got != "admin" {
				t.Errorf("own address: got %q, want admin", got)
			}
			client := r.ClientAddr4()
			if v6 {
				client = r.ClientAddr6()
			}
			if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, client); got != want {
				t.Errorf("from the client: got %q, want %q", got, want)
			}
		}
		if got := r.get(r.Gateway, nil, netip.MustParseAddrPort("127.0.0.1:9901")); got != "admin" {
			t.Errorf("loopback: got %q, want admin", got)
		}
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			t.Errorf("connection open before Apply: %v", err)
		}
		if got := r.verify(p); got != nil {
			t.Errorf("verify: %v", got)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if after := r.state(); after != before {
			t.Errorf("state after Close:\n%s\nbefore:\n%s", after, before)
		}
		dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
		if got := r.get(r.Gateway, nil, dst); got != "server" {
			t.Errorf("after Close: got %q, want the server", got)
		}
	})
}
