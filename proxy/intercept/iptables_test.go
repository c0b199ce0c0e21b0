package intercept

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestChainNamesFitAndTellPlansApart(t *testing.T) {
	seen := map[string]string{}
	for _, plan := range []string{
		"main", "a", "a-cap", "a-6", "web", "a-name-of-17-chars", "a-name-of-18-charsx", strings.Repeat("n", 32), strings.Repeat("n", 31) + "m",
	} {
		for _, end := range []string{iptInfo, iptPre, iptDiv, iptKeep, iptCap, iptWant, iptTake, iptOut, iptOWant, iptAgain, iptMark} {
			name := iptName(plan, end)
			if len(name) > 28 {
				t.Errorf("%s has %d characters, iptables takes 28", name, len(name))
			}
			if other, ok := seen[name]; ok {
				t.Errorf("%s is of %s and of %s", name, other, plan)
			}
			seen[name] = plan
		}
	}
}

func TestMultiports(t *testing.T) {
	var many []PortRange
	for i := range 16 {
		many = append(many, Port(uint16(1000+2*i)))
	}
	for _, c := range []struct {
		in   []PortRange
		want []string
	}{
		{nil, nil},
		{[]PortRange{Port(443), Port(80), {8000, 8999}}, []string{"80,443,8000:8999"}},
		{many, []string{"1000,1002,1004,1006,1008,1010,1012,1014,1016,1018,1020,1022,1024,1026,1028", "1030"}},
		{append([]PortRange{{1, 2}}, many[:14]...), []string{"1:2,1000,1002,1004,1006,1008,1010,1012,1014,1016,1018,1020,1022,1024", "1026"}},
	} {
		if got := multiports(c.in); !slices.Equal(got, c.want) {
			t.Errorf("%v: got %q, want %q", c.in, got, c.want)
		}
	}
}

func TestMinimalPrefixes(t *testing.T) {
	for _, c := range []struct {
		in   string
		v6   bool
		want string
	}{
		{"10.0.0.0/8,10.1.0.0/16,10.0.0.0/9", false, "[10.0.0.0/8]"},
		{"192.0.2.128/25,192.0.2.0/25,2001:db8::/32", false, "[192.0.2.0/25 192.0.2.128/25]"},
		{"10.0.0.0/8,2001:db8:1::/48,2001:db8::/32", true, "[2001:db8::/32]"},
		{"10.0.0.0/8", true, "[]"},
	} {
		in, err := ParseCIDRs(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(minimal(in, c.v6)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.in, got, c.want)
		}
	}
}

func TestSplitAndQuoteWords(t *testing.T) {
	for in, want := range map[string][]string{
		`-A x -j RETURN`:                       {"-A", "x", "-j", "RETURN"},
		`-m comment --comment "not tcp"  -j y`: {"-m", "comment", "--comment", "not tcp", "-j", "y"},
		`--comment "a \"b\" \\c" ""`:           {"--comment", `a "b" \c`, ""},
		"":                                     nil,
	} {
		if got := splitWords(in); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
}

// TestDriftOfIPTables changes rules as an operator or another program would, and
// looks at what Verify says; then Reapply mends it.
func TestDriftOfIPTables(t *testing.T) {
	p := Plan{ListenPort: proxyPort, Local: true}
	for _, c := range []struct {
		name, do, want string
	}{
		{"flushed", "-F PREROUTING\n", "hook-drift"},
		{"emptied", "-F weir-main-cap\n", "rule-missing"},
		{"another rule", "-A weir-main-cap -j RETURN\n", "rule-foreign"},
		{"changed", "-R weir-main-want 1 -p tcp -m multiport --dports 23 -j RETURN\n", "rule-drift"},
		{"all gone", "-F\n-X\n", "table-missing"},
		{"another chain", ":weir-main-mine - [0:0]\n", "chain-foreign"},
		{"a chain gone", "-F weir-main-out\n-D OUTPUT 1\n-X weir-main-out\n", "chain-missing"},
		{"late", "-I PREROUTING 1 -p tcp -j ACCEPT\n", "hook-late"},
		{"others' rules", "-A PREROUTING -p tcp -j ACCEPT\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, b Backend) {
				if b == NFT {
					t.Skip("see drift_test.go")
				}
				p := p
				p.Backend = b
				r := newRig(t)
				h := r.apply(p, Installed)
				tool, err := findTool(b)
				if err != nil {
					t.Fatal(err)
				}
				codes := func() (out []string) {
					r.on(func() error {
						for _, f := range Verify(p) {
							if f.Code != "not-listening" {
								out = append(out, f.Code)
							}
						}
						return nil
					})
					return out
				}
				r.on(func() error {
					_, err := tool.run("*mangle\n"+c.do+"COMMIT\n", false, "restore", "--noflush")
					return err
				})
				if got := codes(); c.want == "" && len(got) > 0 || c.want != "" && !slices.Contains(got, c.want) {
					t.Errorf("verify: %v, want %q", got, c.want)
				}
				if err := h.Reapply(p); err != nil {
					t.Fatal(err)
				}
				if got := codes(); len(got) > 0 {
					t.Errorf("verify after Reapply: %v", got)
				}
			})
		})
	}
}

// TestPlansOfAllBackendsCoexist applies three plans at once and removes them in
// another order; what each made is taken away, and no more.
func TestPlansOfAllBackendsCoexist(t *testing.T) {
	r := newRig(t, 80, 81)
	r.proxy()
	before := r.state()
	var plans []Plan
	for i, b := range testBackends(t) {
		for j, redirect := range []bool{false, true} {
			n := 2*i + j
			p := Plan{
				Name: fmt.Sprintf("p%d", n), Backend: b, Redirect: redirect, ListenPort: proxyPort, Ports: []PortRange{Port(uint16(8000 + n))},
				Table: 1000 + n, Priority: 1000 + 10*n, Mark: uint32(n+1) << 24, MarkMask: 0xff000000, OwnMark: 0x40000000, LocalMark: 0x50000000,
			}
			if n == 0 {
				p.Ports = []PortRange{Port(80)}
			}
			plans = append(plans, p)
		}
	}
	for _, p := range plans {
		h, err := r.tryApply(p, Installed)
		if err != nil {
			t.Fatal(err)
		}
		h.Release()
	}
	for _, p := range plans {
		if got := slices.DeleteFunc(r.verify(p), func(c string) bool { return c == "lease-expired" }); len(got) > 0 {
			t.Errorf("verify %s: %v", p.Name, got)
		}
	}
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, r.ClientAddr4()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := r.get(r.Client, nil, netip.AddrPortFrom(r.ServerAddr4(), 81)); got != "server" {
		t.Errorf("got %q, want the server", got)
	}
	// The same name with another backend is refused.
	if other := plans[len(plans)-1]; other.Backend != NFT {
		other.Backend = NFT
		if _, err := r.tryApply(other, Installed); err == nil || !strings.Contains(err.Error(), "backend: ") {
			t.Errorf("the name of another backend's plan: %v", err)
		}
	}
	for i := range plans {
		p := plans[(i+1)%len(plans)]
		r.on(func() error { return Remove(p.Name) })
	}
	if after := r.state(); after != before {
		t.Errorf("state after all were removed:\n%s\nbefore:\n%s", after, before)
	}
}
