package intercept

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
)

func TestValidateNamesEveryWrongField(t *testing.T) {
	cidr := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	for _, c := range []struct {
		name string
		p    Plan
		want []string // beginnings of the lines
	}{
		{"only a port", Plan{ListenPort: 1}, nil},
		{"zero", Plan{}, []string{"listen_port: unset"}},
		{"names", Plan{ListenPort: 1, Name: "../x"}, []string{`name: "../x"`}},
		{"long name", Plan{ListenPort: 1, Name: strings.Repeat("x", 33)}, []string{"name: "}},
		{"ports", Plan{ListenPort: 1, Ports: []PortRange{{1, 2}, {2, 1}}, ExcludePorts: []PortRange{{}}}, []string{"ports[1]: 2-1", "exclude_ports[0]: 0-0"}},
		{
			"interfaces",
			Plan{ListenPort: 1, Interfaces: []string{"eth0", "", "lo", "a/b", "much-too-long-name"}},
			[]string{`interfaces[1]: ""`, "interfaces[2]: lo", `interfaces[3]: "a/b"`, "interfaces[4]: "},
		},
		{"marks outside the mask", Plan{ListenPort: 1, Mark: 0x4000}, []string{"mark: 0x4000 has bits outside"}},
		{"same marks", Plan{ListenPort: 1, Mark: 0x2000}, []string{"own_mark: 0x2000 is also mark"}},
		{"local table", Plan{ListenPort: 1, Table: 255}, []string{"table: 255"}},
		{"priority", Plan{ListenPort: 1, Priority: 32766}, []string{"priority: 32766"}},
		{"families", Plan{ListenPort: 1, Families: 4}, []string{"families: 4"}},
		{
			"mapped",
			Plan{ListenPort: 1, IncludeCIDRs: cidr("::ffff:1.2.3.4/128"), ExcludeCIDRs: []netip.Prefix{{}}},
			[]string{"include_cidrs[0]: ", "exclude_cidrs[0]: "},
		},
		{
			"endpoints",
			Plan{ListenPort: 1, ExcludeAddrPorts: []netip.AddrPort{{}, netip.MustParseAddrPort("1.2.3.4:0"), netip.MustParseAddrPort("[fe80::1%eth0]:1")}},
			[]string{"exclude_addr_ports[0]: ", "exclude_addr_ports[1]: ", "exclude_addr_ports[2]: "},
		},
		{
			"sysctls",
			Plan{ListenPort: 1, Sysctls: []Sysctl{{"kernel.panic", "1"}, {"net.//.x", "1"}, {"net.ipv4.ip_forward", " "}, {"net.ipv4.conf.eth0/1.rp_filter", "0"}}},
			[]string{"sysctls[0].key: ", "sysctls[1].key: ", "sysctls[2].value: "},
		},
		{
			"programs without local",
			Plan{ListenPort: 1, IncludePrograms: Programs{UIDs: []IDRange{{2, 1}}}, ExcludePrograms: Programs{Cgroups: []string{"a"}}},
			[]string{"include_programs: needs local", "include_programs.uids[0]: 2-1", "exclude_programs: needs local"},
		},
		{
			"cgroups",
			Plan{ListenPort: 1, Local: true, OnDown: Drop, IncludePrograms: Programs{GIDs: []IDRange{{2, 1}}, Cgroups: []string{"", "/a", "a/../b", "a\"", "a//b", `system-a\x2db.slice`}}},
			[]string{"include_programs.gids[0]", "include_programs.cgroups[0]", "include_programs.cgroups[1]", "include_programs.cgroups[2]", "include_programs.cgroups[3]", "include_programs.cgroups[4]"},
		},
		{
			"marks",
			Plan{ListenPort: 1, IncludeMarks: []MarkMatch{{1, 0}, {2, 1}, {0x1000, 0xffff}}, ExcludeMarks: []MarkMatch{{0, 0xffff}, {3, 1}}},
			[]string{"include_marks[0]", "include_marks[1]", "include_marks[2]: 0x1000/0xffff has bits of mark_mask", "exclude_marks[1]"},
		},
		{"udp_443", Plan{ListenPort: 1, UDP443: 2}, []string{"udp_443: 2"}},
		{"udp_443 of what is not taken", Plan{ListenPort: 1, UDP443: RejectUDP443, Ports: []PortRange{Port(80)}}, []string{"udp_443: TCP port 443"}},
		{"udp_443 of what is excluded", Plan{ListenPort: 1, UDP443: RejectUDP443, ExcludePorts: []PortRange{{1, 443}}}, []string{"udp_443: TCP port 443"}},
		{"on_down", Plan{ListenPort: 1, OnDown: 2}, []string{"on_down: 2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []string
			if err := c.p.Validate(); err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(c.want) {
				t.Fatalf("got %q, want %d lines", lines, len(c.want))
			}
			for i, l := range lines {
				if !strings.HasPrefix(l, c.want[i]) {
					t.Errorf("line %d: got %q, want %q…", i, l, c.want[i])
				}
			}
		})
	}
}

func TestPlansThatNeedALease(t *testing.T) {
	for _, c := range []struct {
		name string
		p    Plan
		want bool
	}{
		{"gateway: tproxy falls through", Plan{}, false},
		{"local: over lo already", Plan{Local: true}, true},
		{"redirect: refused", Plan{Redirect: true}, true},
		{"fail closed", Plan{Local: true, Redirect: true, OnDown: Drop}, false},
		{"asked for", Plan{Lease: true}, true},
	} {
		if got := c.p.WithDefaults().Lease; got != c.want {
			t.Errorf("%s: lease %v, want %v", c.name, got, c.want)
		}
	}
}

// TestMergeKeepsMembership compares merged ranges with the prefixes they come from.
func TestMergeKeepsMembership(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		var in []netip.Prefix
		for range rnd.IntN(8) {
			// Few distinct bits, so that prefixes touch and overlap; both ends of the space.
			a := netip.AddrFrom4([4]byte{byte(rnd.IntN(2)) * 255, byte(rnd.IntN(2)) * 255, 255 * byte(rnd.IntN(2)), byte(rnd.IntN(256))})
			in = append(in, netip.PrefixFrom(a, rnd.IntN(33)).Masked())
		}
		out := mergeCIDRs(in, false)
		for i, r := range out {
			if r.to.Less(r.from) || i > 0 && r.from.Compare(out[i-1].to.Next()) <= 0 {
				t.Fatalf("%v: ranges %v touch or are out of order", in, out)
			}
		}
		for range 50 {
			a := netip.AddrFrom4([4]byte{byte(rnd.IntN(2)) * 255, byte(rnd.IntN(2)) * 255, byte(rnd.IntN(256)), byte(rnd.IntN(256))})
			var want, got bool
			for _, p := range in {
				want = want || p.Contains(a)
			}
			for _, r := range out {
				got = got || r.from.Compare(a) <= 0 && a.Compare(r.to) <= 0
			}
			if got != want {
				t.Fatalf("%v in %v: %v, in %v: %v", a, in, want, out, got)
			}
		}
	}
}

func TestRangeText(t *testing.T) {
	for _, c := range []struct{ from, to, want string }{
		{"10.0.0.0", "10.255.255.255", "10.0.0.0/8"},
		{"10.0.0.1", "10.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "10.0.0.2", "10.0.0.1-10.0.0.2"},
		{"0.0.0.0", "255.255.255.255", "0.0.0.0/0"},
		{"192.0.2.0", "192.0.2.191", "192.0.2.0-192.0.2.191"},
		{"::", "::1", "::/127"},
	} {
		if got := (addrRange{netip.MustParseAddr(c.from), netip.MustParseAddr(c.to)}).String(); got != c.want {
			t.Errorf("%s to %s: got %s, want %s", c.from, c.to, got, c.want)
		}
	}
}

func TestMergePorts(t *testing.T) {
	got := fmt.Sprint(mergePorts([]PortRange{{65535, 65535}, {80, 80}, {81, 90}, {85, 86}, {1, 2}, {60000, 65534}}))
	if want := "[1-2 80-90 60000-65535]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTableCommentIsReadBack(t *testing.T) {
	p := Plan{ListenPort: 15001, Table: 77, Priority: 88}.WithDefaults()
	k, ok := parseTableComment(tableComment(p))
	if !ok || k != p.key() {
		t.Errorf("got %+v, %v; want %+v", k, ok, p.key())
	}
	if _, ok := parseTableComment("weir port=1"); ok {
		t.Error("half a comment is read")
	}
}

func TestOwnListener(t *testing.T) {
	addrs := func(s ...string) (out []netip.AddrPort) {
		for _, a := range s {
			out = append(out, netip.MustParseAddrPort(a))
		}
		return out
	}
	for _, c := range []struct {
		own  []netip.AddrPort
		dst  string
		want bool
	}{
		{nil, "10.0.0.1:80", false},
		{addrs("10.0.0.1:80"), "10.0.0.1:80", true},
		{addrs("10.0.0.1:80"), "10.0.0.1:81", false},
		{addrs("10.0.0.1:80"), "10.0.0.2:80", false},
		{addrs("10.0.0.1:80"), "[::ffff:10.0.0.1]:80", true},
		{addrs("[::ffff:10.0.0.1]:80"), "10.0.0.1:80", true},
		{addrs("0.0.0.0:80"), "127.0.0.1:80", true},
		{addrs("0.0.0.0:80"), "127.8.8.8:80", true},
		{addrs("0.0.0.0:80"), "0.0.0.0:80", true},
		{addrs("0.0.0.0:80"), "[::1]:80", false},
		{addrs("0.0.0.0:80"), "10.0.0.1:80", false}, // the caller adds the machine's addresses
		{addrs("[::]:80"), "127.0.0.1:80", true},
		{addrs("[::]:80"), "[::1]:80", true},
		{addrs("[::]:80"), "[2001:db8::1]:80", false},
		{addrs("127.0.0.1:80"), "0.0.0.0:80", true},
		{addrs("[::1]:80"), "0.0.0.0:80", false},
		{addrs("10.0.0.1:1", "[fe80::1%eth0]:80"), "[fe80::1%eth1]:80", true},
	} {
		if got := OwnListener(c.own, netip.MustParseAddrPort(c.dst)); got != c.want {
			t.Errorf("%v, %s: got %v, want %v", c.own, c.dst, got, c.want)
		}
	}
	own, dst := addrs("0.0.0.0:80", "[::]:81"), netip.MustParseAddrPort("10.0.0.1:81")
	if n := testing.AllocsPerRun(100, func() { OwnListener(own, dst) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
