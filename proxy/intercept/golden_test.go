package intercept

import (
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/test/netns"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// goldenPlans are the plans of testdata/<name>.golden.
func goldenPlans() map[string]Plan {
	return map[string]Plan{
		"default": {ListenPort: 15001},
		"ports": {
			Name: "web", ListenPort: 15001, Ports: []PortRange{Port(443), Port(80), {8000, 8999}, {8500, 9000}},
			Interfaces: []string{"eth1", "br-lan.7", "eth1"}, SSH: true,
		},
		"exclusions": {
			ListenPort: 15001, OnDown: Drop, ExcludePorts: []PortRange{Port(25), {6000, 65535}},
			ExcludeCIDRs: []netip.Prefix{
				netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("10.1.0.0/16"),
				netip.MustParsePrefix("192.0.2.0/25"), netip.MustParsePrefix("192.0.2.128/26"), netip.MustParsePrefix("2001:db8::/32"),
			},
			IncludeCIDRs: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")},
			ExcludeAddrPorts: []netip.AddrPort{
				netip.MustParseAddrPort("10.0.0.1:18000"), netip.MustParseAddrPort("[2001:db8::1]:18000"),
				netip.MustParseAddrPort("0.0.0.0:9901"), netip.MustParseAddrPort("[::ffff:10.0.0.1]:18000"),
			},
		},
		"ipv4":           {ListenPort: 15001, Families: IPv4, IncludeLocal: true, ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:9901")}},
		"ipv6":           {ListenPort: 15001, Families: IPv6, Mark: 1, MarkMask: 0xff, OwnMark: 2, LocalMark: 3, Table: 100, Priority: 99},
		"redirect":       {ListenPort: 15001, Redirect: true, Interfaces: []string{"eth1"}, Ports: []PortRange{Port(80)}},
		"redirect-local": {ListenPort: 15001, Redirect: true, Local: true, OnDown: Drop},
		"selection": {
			ListenPort: 15001, Local: true, Interfaces: []string{"eth1"}, UDP443: RejectUDP443,
			IncludeMarks: []MarkMatch{{0x100, 0x100}, {7, 0xff}}, ExcludeMarks: []MarkMatch{{0x40000, 0xff0000}},
			IncludePrograms: Programs{UIDs: []IDRange{{1000, 1999}, {33, 33}}, GIDs: []IDRange{{33, 33}, {100, 200}}, ClassIDs: []uint32{0x100001}},
			ExcludePrograms: Programs{UIDs: []IDRange{{1500, 1500}}, ClassIDs: []uint32{0x100002}},
		},
		"udp443": {
			ListenPort: 15001, UDP443: RejectUDP443, ExcludeCIDRs: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
			ExcludeAddrPorts: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")}, IncludeCIDRs: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")},
		},
		"redirect-selection": {
			ListenPort: 15001, Redirect: true, Local: true, UDP443: RejectUDP443, ExcludeMarks: []MarkMatch{{1, 1}},
			IncludePrograms: Programs{UIDs: []IDRange{{1000, 1000}}}, Families: IPv4,
		},
		"closed": {ListenPort: 15001, Local: true, Interfaces: []string{"eth1"}, Ports: []PortRange{Port(80), Port(443)}, DropPorts: []PortRange{Port(443)}},
		"local": {
			ListenPort: 15001, Local: true, Interfaces: []string{"eth1"}, ReplySpoofed: true,
			Sysctls: []Sysctl{{"net.ipv4.conf.eth1.rp_filter", "2"}},
		},
	}
}

func TestRender(t *testing.T) {
	plans := goldenPlans()
	for name, p := range goldenPlans() {
		if p.DropPorts != nil {
			continue // nft only
		}
		p.Backend = IPTables
		plans["iptables-"+name] = p
	}
	for name, p := range plans {
		t.Run(name, func(t *testing.T) {
			if err := p.Validate(); err != nil {
				t.Fatal(err)
			}
			got := p.Render()
			file := filepath.Join("testdata", name+".golden")
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-want +got:\n%s", d)
			}
		})
	}
}

// TestTheKernelTakesEveryPlan applies the golden plans, verifies them, and, where
// nft(8) is installed, loads what Render prints and verifies that too: text and
// expressions are the same rules.
func TestTheKernelTakesEveryPlan(t *testing.T) {
	for name, p := range goldenPlans() {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			p.Sysctls, p.OnDown, p.DropPorts = nil, Drop, nil // eth1 is not there; Local needs Drop when installed
			for _, mode := range []Mode{Resident, Installed} {
				h := r.apply(p, mode)
				if got := r.verify(p); got != nil {
					t.Errorf("%s: verify: %v", mode, got)
				}
				if err := h.Close(); err != nil {
					t.Fatal(err)
				}
			}
			nft, err := exec.LookPath("nft")
			if err != nil {
				t.Skip("nft is not installed")
			}
			r.loadText(nft, r.Gateway, p)
			ignore := map[string]bool{"route-missing": true, "ip-rule-missing": true}
			r.on(func() error {
				for _, f := range Verify(p) {
					if f.Level == Problem && !ignore[f.Code] {
						t.Error("verify of the text:", f)
					}
				}
				return nil
			})
		})
	}
}

// TestIPTablesTakeEveryPlan applies the golden plans with both kinds of iptables
// and verifies them: what their own iptables-save prints is what was planned. Then
// it loads what Render prints with iptables-restore, and verifies that.
func TestIPTablesTakeEveryPlan(t *testing.T) {
	eachBackend(t, func(t *testing.T, b Backend) {
		if b == NFT {
			t.Skip("see TestTheKernelTakesEveryPlan")
		}
		for name, p := range goldenPlans() {
			if p.DropPorts != nil {
				continue // nft only
			}
			t.Run(name, func(t *testing.T) {
				r := newRig(t)
				before := r.state()
				p.Sysctls, p.Backend = nil, b // eth1 is not there
				h, err := r.tryApply(p, Installed)
				if err != nil {
					t.Fatal(err)
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
				r.loadIPTables(p)
				r.on(func() error {
					for _, f := range Verify(p) {
						if f.Level == Problem && f.Code != "route-missing" && f.Code != "ip-rule-missing" {
							t.Error("verify of the text:", f)
						}
					}
					return nil
				})
			})
		}
	})
}

// loadIPTables loads the parts of Render that iptables-restore reads.
func (r *rig) loadIPTables(p Plan) {
	r.t.Helper()
	for part := range strings.SplitSeq(p.Render(), "# ") {
		head, text, _ := strings.Cut(part, "\n")
		program, _, _ := strings.Cut(head, " ")
		if program == "" {
			continue
		}
		text = text[:strings.LastIndex(text, "COMMIT\n")]
		c := r.Gateway.Command(r.t.Context(), program, "--noflush")
		c.Stdin = strings.NewReader(text + "COMMIT\n")
		if out, err := c.CombinedOutput(); err != nil {
			r.t.Fatalf("%s: %v\n%s", head, err, out)
		}
	}
}

// loadText loads the nft part of Render into ns with nft(8).
func (r *rig) loadText(nft string, ns *netns.NS, p Plan) {
	r.t.Helper()
	text := p.Render()
	text = text[:strings.LastIndex(text, "\n}\n")]
	c := ns.Command(r.t.Context(), nft, "-f", "-")
	c.Stdin = strings.NewReader(text + "\n}\n")
	if out, err := c.CombinedOutput(); err != nil {
		r.t.Fatalf("nft: %v\n%s", err, out)
	}
}
