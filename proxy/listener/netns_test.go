package listener_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/test/netns"
)

// rules intercept what the client sends to port 443 with TPROXY, and to port 80
// with REDIRECT.
const rules = `
table inet weir {
	chain to_proxy {
		type filter hook prerouting priority mangle;
		iifname "lan0" meta nfproto ipv4 tcp dport 443 meta mark set 1 tproxy ip to :15001 accept
		iifname "lan0" meta nfproto ipv6 tcp dport 443 meta mark set 1 tproxy ip6 to :15001 accept
	}
	chain to_self {
		type nat hook prerouting priority dstnat;
		iifname "lan0" tcp dport 80 redirect to :15002
	}
}
`

func TestInterceptedConnectionsKeepTheirDestination(t *testing.T) {
	top := netns.Start(t, netns.Options{})
	file := filepath.Join(t.TempDir(), "rules")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{
		"nft -f " + file,
		"ip rule add fwmark 1 table 100", "ip route add local 0.0.0.0/0 dev lo table 100",
		"ip -6 rule add fwmark 1 table 100", "ip -6 route add local ::/0 dev lo table 100",
	} {
		w := strings.Fields(c)
		if out, err := top.Gateway.Command(t.Context(), w[0], w[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", c, err, out)
		}
	}
	r := newRig(t, nil)
	const text = `
name: N
address: {socket_address: {address: "::", port_value: PORT, ipv4_compat: true}}
HOW: true
default_filter_chain: {name: N, filters: [{name: s, typed_config: {$say: N}}]}
`
	var own addrs
	r.o.OwnListeners = own.get
	in := func(name, port, how string) *running {
		var l *listener.Listener
		if err := top.Gateway.Do(func() (err error) {
			l, err = listener.New(r.model(strings.NewReplacer("N", name, "PORT", port, "HOW", how).Replace(text)), r.o)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return r.runs(l)
	}
	tproxy, redirect := in("tproxy", "15001", "transparent"), in("redirect", "15002", "use_original_dst")
	own.set(append(tproxy.Addresses(), redirect.Addresses()...))
	get := func(dst netip.AddrPort) string {
		t.Helper()
		c, err := top.Client.Dial(t.Context(), &net.Dialer{Timeout: 5 * time.Second}, "tcp", dst.String())
		if err != nil {
			return err.Error()
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		return line(t, c)
	}
	for _, a := range []netip.Addr{top.ServerAddr4(), top.ServerAddr6()} {
		for port, name := range map[uint16]string{443: "tproxy", 80: "redirect"} {
			dst := netip.AddrPortFrom(a, port)
			if got := get(dst); !strings.HasPrefix(got, name+" ") || !strings.Contains(got, fmt.Sprintf("dest=%s ", dst)) {
				t.Errorf("%s: %s, want it at %s", dst, got, name)
			}
		}
	}
	client4, client6 := top.ClientAddr4(), top.ClientAddr6()
	for _, c := range []struct{ dst, src netip.Addr }{{top.ServerAddr4(), client4}, {top.ServerAddr6(), client6}} {
		if got := get(netip.AddrPortFrom(c.dst, 443)); !strings.Contains(got, "source="+netip.AddrPortFrom(c.src, 0).String()[:len(netip.AddrPortFrom(c.src, 0).String())-1]) {
			t.Errorf("%s, want the source %s", got, c.src)
		}
	}
	// Who dials the transparent listener itself is refused, the other one serves. The
	// gateway's addresses are listed: those of the machine, asked for otherwise, are
	// in this test those outside the gateway.
	dial, other := netip.AddrPortFrom(top.GatewayAddr4(), 15001), netip.AddrPortFrom(top.GatewayAddr4(), 15002)
	own.set(append(own.get(), dial, other))
	if got := get(dial); !strings.HasPrefix(got, "<") {
		t.Errorf("%s: %s, want it refused", dial, got)
	}
	if got := get(other); !strings.HasPrefix(got, "redirect ") {
		t.Errorf("%s: %s, want it served", other, got)
	}
	if got := tproxy.counter("downstream_cx_self_dial_refused"); got != 1 {
		t.Errorf("downstream_cx_self_dial_refused is %d", got)
	}
}
