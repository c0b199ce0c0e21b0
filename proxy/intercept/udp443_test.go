package intercept

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

// packets answers datagrams to the server's port with "server".
func (r *rig) packets(port int) {
	r.t.Helper()
	pc, err := r.Server.ListenPacket(r.t.Context(), nil, "udp", fmt.Sprintf(":%d", port))
	if err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64)
		for {
			_, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo([]byte("server"), from)
		}
	}()
	r.t.Cleanup(func() { pc.Close(); <-done })
}

// ask sends a datagram from ns and gives the answer, or "refused".
func (r *rig) ask(ns *netns.NS, d *net.Dialer, dst netip.AddrPort) string {
	r.t.Helper()
	c, err := ns.Dial(r.t.Context(), d, "udp", dst.String())
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 64)
	_, err = c.Write([]byte("hello"))
	n := 0
	if err == nil {
		n, err = c.Read(b)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, syscall.EPERM):
		return "not permitted" // what a program of this machine gets
	case err != nil:
		return err.Error()
	}
	return string(b[:n])
}

func TestUDP443(t *testing.T) { eachBackend(t, testUDP443) }

func testUDP443(t *testing.T, b Backend) {
	r := newRig(t, 443)
	r.proxy()
	for _, port := range []int{53, 443, 444} {
		r.packets(port)
	}
	for _, key := range []string{"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"} {
		if err := r.Gateway.SetSysctl(key, "0"); err != nil { // else a client gets one answer a second
			t.Fatal(err)
		}
	}
	only := func(c string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(c)} }
	for _, c := range []struct {
		name     string
		p        Plan
		port     uint16
		v6       bool
		lapsed   bool
		want     string // of the client
		wantHere string // of a program of the gateway; empty: as want
	}{
		{name: "pass", port: 443, want: "server"},
		{name: "reject", p: Plan{UDP443: RejectUDP443}, port: 443, want: "refused", wantHere: "server"},
		{name: "reject, IPv6", p: Plan{UDP443: RejectUDP443}, port: 443, v6: true, want: "refused", wantHere: "server"},
		{name: "reject, local", p: Plan{UDP443: RejectUDP443, Local: true}, port: 443, want: "refused", wantHere: "not permitted"},
		{name: "reject, local, IPv6", p: Plan{UDP443: RejectUDP443, Local: true}, port: 443, v6: true, want: "refused", wantHere: "not permitted"},
		{name: "redirect, local", p: Plan{UDP443: RejectUDP443, Local: true, Redirect: true}, port: 443, want: "refused", wantHere: "not permitted"},
		{name: "without a lease", p: Plan{UDP443: RejectUDP443, Local: true}, lapsed: true, port: 443, want: "server"},
		{name: "another port", p: Plan{UDP443: RejectUDP443, Local: true}, port: 444, want: "server"},
		{name: "DNS", p: Plan{UDP443: RejectUDP443, Local: true}, port: 53, want: "server"},
		{name: "another interface", p: Plan{UDP443: RejectUDP443, Interfaces: []string{"wan0"}}, port: 443, want: "server"},
		{name: "this interface", p: Plan{UDP443: RejectUDP443, Interfaces: []string{"wan0", "lan0"}}, port: 443, want: "refused", wantHere: "server"},
		{name: "excluded", p: Plan{UDP443: RejectUDP443, Local: true, ExcludeCIDRs: only("10.91.2.0/24")}, port: 443, want: "server"},
		{name: "not included", p: Plan{UDP443: RejectUDP443, Local: true, IncludeCIDRs: only("10.0.0.0/16")}, port: 443, want: "server"},
		{name: "excluded endpoint", p: Plan{UDP443: RejectUDP443, ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("10.91.2.2:443")}}, port: 443, want: "server"},
		{name: "other family", p: Plan{UDP443: RejectUDP443, Local: true, Families: IPv4}, port: 443, v6: true, want: "server"},
		{name: "other program", p: Plan{UDP443: RejectUDP443, Local: true, IncludePrograms: Programs{UIDs: []IDRange{{1, 1}}}}, port: 443, want: "refused", wantHere: "server"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.p.ListenPort, c.p.Backend = proxyPort, b
			apply := r.apply
			if c.lapsed {
				apply = func(p Plan, m Mode) *Handle {
					h, err := r.tryApply(p, m) // nobody takes the lease
					if err != nil {
						t.Fatal(err)
					}
					return h
				}
			}
			h := apply(c.p, Resident)
			dst := netip.AddrPortFrom(r.ServerAddr4(), c.port)
			if c.v6 {
				dst = netip.AddrPortFrom(r.ServerAddr6(), c.port)
			}
			if got := r.ask(r.Client, nil, dst); got != c.want {
				t.Errorf("client: got %q, want %q", got, c.want)
			}
			here := c.wantHere
			if here == "" {
				here = c.want
			}
			if got := r.ask(r.Gateway, nil, dst); got != here {
				t.Errorf("local program: got %q, want %q", got, here)
			}
			own := &net.Dialer{Control: sockopt(unix.SOL_SOCKET, unix.SO_MARK, DefaultOwnMark)}
			if got := r.ask(r.Gateway, own, dst); got != "server" {
				t.Errorf("own mark: got %q", got)
			}
			if got := r.verify(c.p); got != nil && !c.lapsed {
				t.Errorf("verify: %v", got)
			}
			if err := h.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	if got := r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr4(), 443)); !strings.HasPrefix(got, "server") {
		t.Errorf("TCP after Close: %q", got)
	}
}
