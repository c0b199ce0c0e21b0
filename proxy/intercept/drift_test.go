package intercept

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	mdl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestApplyAgainChangesNothing(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t, 80)
		before := r.state()
		p := Plan{Backend: b, ListenPort: proxyPort, Sysctls: []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}}}
		first := r.apply(p, Installed)
		state := r.state()
		second := r.apply(p, Installed)
		if again := r.state(); again != state {
			t.Errorf("state after the second Apply:\n%s\nafter the first:\n%s", again, state)
		}
		first.Release()

		// Another plan of the same name replaces everything, and remembers the
		// sysctl that was there before the first.
		p.Priority, p.Table, p.Mark, p.OwnMark = 300, 400, 0x2000, 0x1000
		p.Sysctls[0].Value = "1"
		third := r.apply(p, Installed)
		if got := r.verify(p); got != nil {
			t.Errorf("verify: %v", got)
		}
		if s := r.state(); strings.Contains(s, "15001") && strings.Contains(s, "rule 51") || strings.Contains(s, "table 15001") {
			t.Errorf("something of the old plan is left:\n%s", s)
		}
		second.Release()
		if err := third.Close(); err != nil {
			t.Fatal(err)
		}
		if after := r.state(); after != before {
			t.Errorf("state after Close:\n%s\nbefore:\n%s", after, before)
		}
	})
}

func TestRemove(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		r := newRig(t)
		before := r.state()
		p := Plan{Backend: b, ListenPort: proxyPort, Sysctls: []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}}}
		for _, lost := range []bool{false, true} {
			if lost {
				p.Sysctls = nil // nobody can know the old value without the record
			}
			h := r.apply(p, Installed)
			h.Release() // as when `weir intercept up` ends
			if lost {
				if err := os.Remove(r.recordPath(DefaultName)); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // the second has nothing to do
				r.on(func() error { return Remove(DefaultName) })
				if lost && b == IPTablesNFT {
					// Nobody can know whether its empty chains were there before, either.
					r.on(func() error {
						w, err := dialIPTables(b)
						if err != nil {
							return err
						}
						defer w.close()
						return w.tidy(nil)
					})
				}
				if after := r.state(); after != before {
					t.Errorf("record lost %v: state after Remove:\n%s\nbefore:\n%s", lost, after, before)
				}
			}
			if _, err := os.Stat(r.recordPath(DefaultName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("record after Remove: %v", err)
			}
		}
		if err := Remove("../x"); err == nil {
			t.Error("a path is taken for a name")
		}
	})
}

// TestFailedApplyLeavesEverythingAsBefore fails at each stage.
func TestFailedApplyLeavesEverythingAsBefore(t *testing.T) {
	r := newRig(t)
	ok := Plan{ListenPort: proxyPort}
	r.on(func() error { // somebody's table
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		n, err := netlink.ParseIPNet("192.0.2.0/24")
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: n, Table: 4711})
	})
	r.apply(Plan{Name: "other", ListenPort: 1, Table: 77, Priority: 200, Mark: 0x100, MarkMask: 0x700, OwnMark: 0x200, LocalMark: 0x300}, Installed)
	before := r.state()
	for _, c := range []struct {
		name, want string
		change     func(*Plan)
	}{
		{"invalid", "listen_port", func(p *Plan) { p.ListenPort = 0 }},
		{"route table of somebody", "not ours", func(p *Plan) { p.Table = 4711 }},
		{"route table of another plan", "used by table inet weir-other", func(p *Plan) { p.Table = 77 }},
		{"priority of another plan", "weir-other", func(p *Plan) { p.Priority = 198 }},
		{"mark of another plan", "weir-other", func(p *Plan) { p.Mark, p.MarkMask, p.OwnMark, p.LocalMark = 0x1100, 0x3700, 0x2000, 0x3000 }},
		{"no such sysctl", "net.ipv4.conf.nope.rp_filter", func(p *Plan) {
			p.Sysctls = []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}, {"net.ipv4.conf.nope.rp_filter", "2"}}
		}},
		{"wrong value of a sysctl", "xyz", func(p *Plan) {
			p.Sysctls = []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}, {"net.ipv4.conf.all.src_valid_mark", "xyz"}}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := ok
			c.change(&p)
			if _, err := r.tryApply(p, Resident); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want …%s…", err, c.want)
			}
			if after := r.state(); after != before {
				t.Errorf("state:\n%s\nbefore:\n%s", after, before)
			}
			if _, err := os.Stat(r.recordPath(DefaultName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("record: %v", err)
			}
		})
	}
	r.apply(ok, Resident) // beside the other
	if got := r.verify(ok); got != nil {
		t.Errorf("verify: %v", got)
	}
}

func TestVerifyNamesTheDrift(t *testing.T) {
	r := newRig(t)
	p := Plan{ListenPort: proxyPort, Ports: []PortRange{Port(80)}, Sysctls: []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}}}
	table := attrString(unix.NFTA_TABLE_NAME, "weir-main")
	nft := func(m mdl.Message) func(r *rig) error {
		return func(*rig) error {
			nf, err := dialNF()
			if err != nil {
				return err
			}
			defer nf.close()
			return nf.commit([]mdl.Message{m})
		}
	}
	rule := func(typ int, flags mdl.HeaderFlags, chain string, exprs ...mdl.Attribute) mdl.Message {
		return message(typ, flags, table, attrString(unix.NFTA_RULE_CHAIN, chain), nest(unix.NFTA_RULE_EXPRESSIONS, exprs...))
	}
	accepts, err := encodeExprs(accept().exprs)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		do   func(r *rig) error
	}{
		{"table-missing", nft(deleteTable("weir-main"))},
		{"table-dormant", nft(message(unix.NFT_MSG_NEWTABLE, 0, table, attrU32(unix.NFTA_TABLE_FLAGS, unix.NFT_TABLE_F_DORMANT)))},
		{"rule-drift", nft(rule(unix.NFT_MSG_NEWRULE, mdl.Create, chainCapture, accepts...))},
		{"rule-foreign", nft(rule(unix.NFT_MSG_NEWRULE, mdl.Create|mdl.Append, chainTake, accepts...))},
		{"rule-missing", nft(message(unix.NFT_MSG_DELRULE, 0, table, attrString(unix.NFTA_RULE_CHAIN, chainDivert)))},
		{"chain-foreign", nft(message(unix.NFT_MSG_NEWCHAIN, mdl.Create, table, attrString(unix.NFTA_CHAIN_NAME, "x")))},
		{"ip-rule-missing", func(r *rig) error { return r.delRouting(p, 1) }},
		{"ip-rule-missing", func(r *rig) error { return r.delRouting(p, 3) }},
		{"route-missing", func(r *rig) error { return r.delRouting(p, 0) }},
		{"sysctl-drift", func(r *rig) error {
			return os.WriteFile("/proc/sys/net/ipv4/conf/lan0/rp_filter", []byte("0"), 0)
		}},
		{"ip-rule-shadowed", func(r *rig) error {
			o := netlink.NewRule()
			o.Family, o.Priority, o.Mark, o.Table = unix.AF_INET, 50, 0x1000, 254
			return netlink.RuleAdd(o)
		}},
	} {
		t.Run(c.want, func(t *testing.T) {
			h := r.apply(p, Installed)
			if got := r.verify(p); got != nil {
				t.Fatalf("before: %v", got)
			}
			r.on(func() error { return c.do(r) })
			if got := r.verify(p); !slices.Contains(got, c.want) || len(got) > 1 {
				t.Errorf("got %v, want %s", got, c.want)
			}
			if c.want != "ip-rule-shadowed" { // which is not ours to repair
				if err := h.Reapply(p); err != nil {
					t.Fatal(err)
				}
				if got := r.verify(p); got != nil && c.want != "sysctl-drift" {
					t.Errorf("after Reapply: %v", got)
				}
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// delRouting removes the i-th of the plan's routes and policy rules.
func (r *rig) delRouting(p Plan, i int) error {
	rt, err := dialRT()
	if err != nil {
		return err
	}
	defer rt.close()
	return rt.del(p.routing()[i])
}

func TestNotesSettingsOfTheMachine(t *testing.T) {
	r := newRig(t)
	for _, k := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		if err := r.Gateway.SetSysctl(k, "0"); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Gateway.SetSysctl("net.ipv4.conf.lan0.rp_filter", "1"); err != nil {
		t.Fatal(err)
	}
	p := Plan{ListenPort: proxyPort, Interfaces: []string{"lan0", "nope"}}
	r.apply(p, Resident)
	var got []string
	r.on(func() error {
		for _, f := range Verify(p) {
			if f.Level != Note {
				t.Error(f)
			}
			got = append(got, f.Code)
		}
		return nil
	})
	if want := "[forwarding-off forwarding-off rp-filter-strict interface-missing]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if v, err := r.Gateway.Sysctl("net.ipv4.ip_forward"); err != nil || v != "0" {
		t.Errorf("ip_forward = %q, %v: it was changed", v, err)
	}
}

// TestLargeSets: lists of networks have thousands of entries.
func TestLargeSets(t *testing.T) {
	r := newRig(t, 80)
	r.proxy()
	p := Plan{ListenPort: proxyPort}
	for i := range 6000 {
		p.ExcludeCIDRs = append(p.ExcludeCIDRs,
			netip.PrefixFrom(netip.AddrFrom4([4]byte{11, byte(i >> 7), byte(i << 1), 0}), 24),
			netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 7), byte(i << 1)}), 48))
	}
	h := r.apply(p, Resident)
	if got := r.verify(p); got != nil {
		t.Errorf("verify: %v", got)
	}
	dst := netip.AddrPortFrom(r.ServerAddr4(), 80)
	if got, want := r.get(r.Client, nil, dst), fmt.Sprintf("proxy %s from %s", dst, r.ClientAddr4()); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := h.Reapply(p); err != nil {
		t.Error(err)
	}
}
