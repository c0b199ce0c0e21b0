package survey

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/netns"
)

func TestMain(m *testing.M) {
	_ = netns.Enter()
	goleak.VerifyTestMain(m)
}

// namespace makes an empty namespace for a test.
func namespace(t *testing.T) *netns.NS {
	t.Helper()
	netns.Require(t)
	n, err := netns.New("survey")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func run(t *testing.T, n *netns.NS, script string) {
	t.Helper()
	if out, err := n.Command(t.Context(), "sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestFates asks rule sets that nft(8) and iptables(8) made what they do with a
// packet.
func TestFates(t *testing.T) {
	f := func(name, rules, want string) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			n := namespace(t)
			if strings.HasPrefix(rules, "iptables") {
				run(t, n, rules)
			} else {
				c := n.Command(t.Context(), "nft", "-f", "-")
				c.Stdin = strings.NewReader("table inet fw {\nset ports { type inet_service; flags interval; elements = { 80-90, 443 } }\n" +
					"chain no { drop; }\nchain yes { accept; }\nchain in {\ntype filter hook input priority 0; policy drop\n" + rules + "\n}\n}\n")
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			var rs *Ruleset
			if err := n.Do(func() (err error) { rs, err = Rules(); return err }); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range rs.Fates(Input, Whole, 0, Packet{Mark: 0x1000, Iif: "lan0", Port: 80}) {
				s := x.What
				if !x.Certain {
					s = "maybe " + s
				}
				if x.Marked && x.Mark != 0x1000 {
					s += fmt.Sprintf(" mark %#x", x.Mark)
				}
				got = append(got, s)
			}
			if s := strings.Join(got, ", "); s != want {
				t.Errorf("%s\n%q, want %q", rules, s, want)
			}
		})
	}
	f("policy", "", Dropped)
	f("established", "ct state established,related accept", Dropped)
	f("new", "ct state new accept", "")
	f("vmap", "ct state vmap { established : accept, new : drop }", Dropped)
	f("vmap drops", "ct state vmap { established : accept, new : goto no }\naccept", Dropped)
	f("vmap accepts", "ct state vmap { established : accept, new : jump yes }", "")
	f("other port", "tcp dport 22 accept", Dropped)
	f("our port", "tcp dport 80 accept", "")
	f("set", "tcp dport { 22, 80 } accept", "")
	f("other set", "tcp dport { 22, 25 } accept", Dropped)
	f("interval", "tcp dport @ports accept", "")
	f("range", "tcp dport 70-90 accept", "")
	f("not in range", "tcp dport != 70-90 accept", Dropped)
	f("other interface", `iifname "wan0" accept`, Dropped)
	f("our interface", `iifname "lan0" accept`, "")
	f("wildcard of interfaces", `iifname "lan*" accept`, "")
	f("mark", "meta mark and 0x3000 == 0x1000 accept", "")
	f("other mark", "meta mark and 0x3000 == 0x2000 accept", Dropped)
	f("what the library does not read", "socket transparent 1 accept", "maybe "+Dropped)
	f("source", "ip saddr 10.0.0.0/8 accept", "maybe "+Dropped)
	f("user", "meta skuid 0 accept", "maybe "+Dropped)
	f("rate", "limit rate 10/second accept", "maybe "+Dropped)
	f("rate of drops", "limit rate 10/second drop\naccept", "")
	f("udp", "meta l4proto udp accept", Dropped)
	f("other family", "meta nfproto ipv6 accept", Dropped)
	f("jump and drop", "jump no\naccept", Dropped)
	f("goto returns to the policy", "tcp dport 22 goto yes\ngoto no", Dropped)
	f("return", "return\naccept", Dropped)
	f("reject", "reject with tcp reset\naccept", Dropped)
	f("log and count", `log prefix "x" counter accept`, "")
	f("mark changes", "meta mark set 0x7\naccept", "passes mark 0x7")
	f("bits change", "meta mark set meta mark or 0x8\naccept", "passes mark 0x1008")
	f("iptables policy", "iptables -P INPUT DROP", Dropped)
	f("iptables mark", "iptables -P INPUT DROP; iptables -A INPUT -m mark --mark 0x1000/0x3000 -j ACCEPT", "")
	f("iptables other mark", "iptables -P INPUT DROP; iptables -A INPUT -m mark --mark 0x2000/0x3000 -j ACCEPT", Dropped)
	f("iptables state", "iptables -P INPUT DROP; iptables -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", Dropped)
	f("iptables new", "iptables -P INPUT DROP; iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT", "")
	f("iptables port", "iptables -P INPUT DROP; iptables -A INPUT -p tcp --dport 80 -m comment --comment web -j ACCEPT", "")
	f("iptables reject", "iptables -A INPUT -p tcp -j REJECT", Dropped)
	f("iptables chain", "iptables -N X; iptables -A X -j DROP; iptables -A INPUT -i lan0 -j X", Dropped)
	f("iptables marks", "iptables -t mangle -A INPUT -j MARK --set-xmark 0x8/0xff", "passes mark 0x1008")
}

func TestPolicyRules(t *testing.T) {
	n := namespace(t)
	run(t, n, `ip rule add pref 100 fwmark 0x1000/0x1000 blackhole
ip rule add pref 101 from 10.0.0.0/8 iif lo lookup 7
ip rule add pref 102 lookup main suppress_prefixlength 0
ip -6 rule add pref 103 not fwmark 0xca6c lookup 51820 protocol 87
ip rule add pref 104 goto 32766
ip rule add pref 105 uidrange 0-0 lookup 9`)
	var rules []PolicyRule
	if err := n.Do(func() (err error) { rules, err = PolicyRules(); return err }); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, r := range rules {
		if r.Priority >= 100 && r.Priority < 200 {
			fmt.Fprintf(&b, "%s|%v %v %v\n", &r, r.V6, r.Catches(0x1000), r.NoDefault)
		}
	}
	want := `100: from all fwmark 0x1000/0x1000 blackhole|false true false
101: from 10.0.0.0/8 iif lo lookup 7|false false false
102: from all lookup 254|false true true
104: from all goto 32766|false false false
105: from all lookup 9|false false false
103: not from all fwmark 0xca6c/0xffffffff lookup 51820|true false false
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

func TestSockets(t *testing.T) {
	n := namespace(t)
	run(t, n, "ip link set lo up")
	transparent := &net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
	}}
	ln, err := n.Listen(t.Context(), transparent, "tcp4", "0.0.0.0:15001")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	plain, err := n.Listen(t.Context(), nil, "tcp6", "[::1]:15002")
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	c, err := n.Dial(t.Context(), &net.Dialer{Control: MarkControl(0x2000)}, "tcp4", "127.0.0.1:15001")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var all []Socket
	if err := n.Do(func() (err error) { all, err = Sockets(); return err }); err != nil {
		t.Fatal(err)
	}
	find := func(ok func(*Socket) bool) *Socket {
		t.Helper()
		for i := range all {
			if ok(&all[i]) {
				return &all[i]
			}
		}
		t.Fatalf("not there: %+v", all)
		return nil
	}
	s := find(func(s *Socket) bool { return s.State == Listen && s.Local.Port() == 15001 })
	if !s.Transparent || !s.Takes(false) || s.Takes(true) || s.Waiting != 1 || s.Backlog == 0 || s.Inode == 0 {
		t.Errorf("the transparent listener: %+v", s)
	}
	s = find(func(s *Socket) bool { return s.State == Listen && s.Local.Port() == 15002 })
	if s.Transparent || !s.V6 || s.Takes(true) || s.Local.Addr() != netip.IPv6Loopback() {
		t.Errorf("the other listener: %+v", s)
	}
	s = find(func(s *Socket) bool { return s.Local.String() == c.LocalAddr().String() && s.State != Listen })
	if s.Mark != 0x2000 || s.State != Established || s.MSS == 0 || s.Remote.String() != "127.0.0.1:15001" {
		t.Errorf("the connection: %+v", s)
	}
}

func TestProbe(t *testing.T) {
	netns.Require(t)
	features, err := Probe()
	if err != nil {
		t.Fatal(err)
	}
	if len(features) != len(probes()) {
		t.Errorf("%d features, want %d", len(features), len(probes()))
	}
	for _, f := range features { // the kernel that these tests run on has what other tests need
		if f.Error != "" && f.Needed {
			t.Errorf("%s: %s", f.Name, f.Error)
		}
	}
}

func TestCanary(t *testing.T) {
	top := netns.Start(t, netns.Options{})
	for _, a := range []netip.Addr{top.ServerAddr4(), top.ServerAddr6()} {
		ln, err := top.Server.Listen(t.Context(), nil, "tcp", netip.AddrPortFrom(a, 80).String())
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for port, reached := range map[uint16]bool{80: true, 81: false} {
			var r *CanaryResult
			err = top.Gateway.Do(func() (err error) {
				if r, err = Canary(t.Context(), netip.AddrPortFrom(a, port)); err != nil {
					return err
				}
				if _, gone := net.InterfaceByName(CanaryLink); gone == nil {
					t.Error("its link is still there")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if r.Taken || (r.Error == "") != reached || !reached && !strings.Contains(r.Error, "refused") {
				t.Errorf("port %d: %+v", port, r)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(make([]byte, diagMsgLen))
	f.Add(append(make([]byte, diagMsgLen), 5, 0, 11, 0, 1, 0, 0, 0))
	f.Add([]byte{10, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0, 6, 0, 100, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		if s, ok := decodeSocket(b); ok {
			_ = s.Takes(s.V6)
		}
		if r, ok := decodeRule(b); ok {
			_ = r.String()
		}
	})
}
