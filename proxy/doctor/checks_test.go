package doctor

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// noon is when everything here happens.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// healthy is a gateway on which nothing is wrong.
func healthy() *Facts {
	f := &Facts{
		At: noon, Version: "weir-1",
		Kernel: []survey.Feature{{Name: "nft tproxy", Needed: true}},
		Rules: []Rules{{Status: intercept.Status{
			Name: "main", Active: true, Mode: "installed", Recorded: "installed", PID: 1,
			Plan:  &intercept.Plan{ListenPort: 15001, Interfaces: []string{"lan0"}, Families: intercept.IPv4},
			Rules: []intercept.RuleStatus{{Chain: "take", Comment: "intercepted", Packets: 7}},
		}}},
		Sockets:   []survey.Socket{{Local: netip.MustParseAddrPort("0.0.0.0:15001"), State: survey.Listen, Transparent: true, Backlog: 4096, Inode: 9}},
		Chains:    &survey.Ruleset{},
		Settings:  map[string]string{keyForward4: "1", keyPorts: "32768 60999", keyProbing: "0"},
		Counters:  map[string]uint64{},
		Conntrack: &Conntrack{Count: 10, Max: 1000},
		Links: []Link{
			{Name: "lo", MTU: 65536, Up: true, Run: true, Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
			{Name: "lan0", MTU: 1500, Up: true, Run: true, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.1")}},
		},
		Process: &Process{
			PID: 100, Caps: 1<<capNetAdmin | 1<<capNetBindService, Files: 20, FileLimit: 1024, FileHard: 4096, State: 'S',
			Inodes: map[uint32]bool{9: true, 21: true, 22: true}, HasFileCount: true,
		},
		Live: &Live{
			PID: 100, Version: "weir-1", State: "LIVE", OwnMark: 0x2000,
			Listeners: []LiveListener{{Name: "in", Addresses: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:15001")}, Transparent: true, Bound: true}},
			Clusters:  []LiveCluster{{Name: "shop", Type: "EDS", Healthy: 1, Hosts: []LiveHost{{Addr: "10.0.1.1:80", Flags: "healthy"}}}},
			Certs:     []LiveCert{{Of: "listener in", Subject: "shop.example", NotBefore: noon.Add(-time.Hour), NotAfter: noon.Add(1000 * time.Hour)}},
			XDS:       &LiveXDS{Ready: true, Sources: []LiveSource{{Name: "ads", Connected: true}}},
		},
		Clock: &Clock{Synced: true},
		Names: []NameServer{{Addr: "10.0.0.53:53", Name: "shop.example"}},
		Reach: []Reach{{Kind: kindCluster, Name: "shop", Addr: "10.0.1.1:80"}},
	}
	for _, p := range []string{
		partKernel, partRules, partSockets, partPolicy, partChains, partSettings, partCounters, partConntrack, partLinks,
		partProcess, partLive, partClock, partNames, partReach,
	} {
		f.read(p)
	}
	return f
}

// TestChecks changes one thing on a healthy machine and looks what is said: causes
// with what follows from them in brackets; ! is a warning, ~ a note.
func TestChecks(t *testing.T) {
	f := func(name, want string, change func(f *Facts)) {
		t.Helper()
		t.Run(name, func(t *testing.T) {
			facts := healthy()
			change(facts)
			r := Diagnose(facts)
			var got []string
			for _, x := range r.Findings {
				s := map[Level]string{Problem: "", Warning: "!", Note: "~"}[x.Level] + x.Code
				for _, y := range x.Follows {
					s += "(" + y.Code + ")"
				}
				got = append(got, s)
				if x.Text == "" || x.Why == "" || len(x.Fix) == 0 && x.Advice == "" && x.Code != "WD604" {
					t.Errorf("a finding without text, why or fix: %+v", x)
				}
			}
			if s := strings.Join(got, " "); s != want {
				t.Errorf("%s, want %s\n%s", s, want, r.Text())
			}
		})
	}
	plan := func(f *Facts) *intercept.Plan { return f.Rules[0].Status.Plan }
	f("healthy", "", func(*Facts) {})
	f("a module is missing", "WD101(WD301)", func(f *Facts) {
		f.Kernel[0].Error, f.Kernel[0].Module = "no such file or directory", "nft_tproxy"
		f.Rules[0].Found = []intercept.Finding{{Code: "table-missing", Level: intercept.Problem, Text: "no table"}}
		f.Rules[0].Status.Active = false
	})
	f("a feature that is not needed is missing", "~WD101", func(f *Facts) {
		f.Kernel = append(f.Kernel, survey.Feature{Name: "nft connection tracking", Error: "no", Option: "CONFIG_NFT_CT"})
	})
	f("no CAP_NET_ADMIN", "WD102(WD312)", func(f *Facts) { f.Process.Caps = 0; f.Live.Listeners[0].Bound = false })
	f("no CAP_NET_BIND_SERVICE", "WD102(WD312)", func(f *Facts) {
		f.Process.Caps = 1 << capNetAdmin
		f.Live.Listeners = append(f.Live.Listeners, LiveListener{Name: "low", Addresses: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:80")}})
	})
	f("a zombie", "WD103", func(f *Facts) { f.Process.State = 'Z' })
	f("another version runs", "~WD105", func(f *Facts) { f.Live.Version = "weir-0" })
	f("file descriptors become scarce", "!WD106", func(f *Facts) { f.Process.Files = 800 })
	f("file descriptors run out", "WD106(WD403)", func(f *Facts) { f.Process.Files = 1020; f.Sockets[0].Waiting = 4096 })
	f("no carrier", "WD202", func(f *Facts) { f.Links[1].Run = false })
	f("an interface is not there", "!WD202", func(f *Facts) { plan(f).Interfaces = []string{"lan0", "lan9"} })
	f("a setting was changed", "WD205", func(f *Facts) {
		plan(f).Sysctls = []intercept.Sysctl{{Key: "net.ipv4.conf.lan0.rp_filter", Value: "2"}}
		f.Rules[0].Found = []intercept.Finding{{Code: "sysctl-drift", Text: "it is 1", Fix: "sysctl -w net.ipv4.conf.lan0.rp_filter=2"}}
	})
	f("127/8 is routed", "~WD208", func(f *Facts) { f.Settings[keyOf("lan0", "route_localnet")] = "1" })
	f("rules differ in a way of their own", "!WD319", func(f *Facts) {
		f.Rules[0].Found = []intercept.Finding{{Code: "something-new", Level: intercept.Problem, Text: "it is so", Fix: "do this"}}
	})
	f("nothing was taken", "~WD320", func(f *Facts) { f.Rules[0].Status.Rules = nil })
	f("no rules", "!WD318", func(f *Facts) { f.Rules = nil })
	f("no rules, and nobody was asked", "~WD318", func(f *Facts) { f.Rules, f.Live.Offline = nil, true })
	f("own traffic is not marked", "WD316(WD317)", func(f *Facts) {
		plan(f).Local, f.Live.OwnMark = true, 0
		a, b := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.1.1:80")
		f.Sockets = append(f.Sockets, survey.Socket{Local: a, Remote: b, State: survey.Established, Inode: 21},
			survey.Socket{Local: b, Remote: a, State: survey.Established, Inode: 22})
	})
	f("a chain of our own is no loop", "", func(f *Facts) {
		a, b := netip.MustParseAddrPort("10.0.0.1:40000"), netip.MustParseAddrPort("10.0.0.1:8080")
		f.Sockets = append(f.Sockets, survey.Socket{Local: a, Remote: b, State: survey.Established, Inode: 21},
			survey.Socket{Local: b, Remote: a, State: survey.Established, Inode: 22})
	})
	f("a canary passes by", "WD322", func(f *Facts) {
		plan(f).Interfaces = nil
		f.Canary = &survey.CanaryResult{To: "10.0.1.1:80"}
		f.read(partCanary)
	})
	f("a canary that the rules leave alone", "", func(f *Facts) {
		f.Canary = &survey.CanaryResult{To: "10.0.1.1:80", Link: survey.CanaryLink}
		f.read(partCanary)
	})
	f("a canary arrives", "", func(f *Facts) { f.Canary = &survey.CanaryResult{Taken: true}; f.read(partCanary) })
	f("connection tracking is nearly full", "!WD401", func(f *Facts) { f.Conntrack.Count = 800 })
	f("connection tracking is full", "WD401", func(f *Facts) { f.Conntrack.Count = 1000 })
	f("many wait to be accepted", "!WD403", func(f *Facts) { f.Sockets[0].Waiting = 3500 })
	f("the clock is free", "~WD501", func(f *Facts) { f.Clock.Synced = false })
	f("the clock is wrong", "!WD501(WD502)", func(f *Facts) { f.Clock.Synced = false; f.Live.Certs[0].NotBefore = noon.Add(time.Hour) })
	f("a certificate for later", "WD502", func(f *Facts) { f.Live.Certs[0].NotBefore = noon.Add(time.Hour) })
	f("a certificate has expired", "WD503", func(f *Facts) { f.Live.Certs[0].NotAfter = noon })
	f("a certificate expires", "!WD504", func(f *Facts) { f.Live.Certs[0].NotAfter = noon.Add(24 * time.Hour) })
	f("no name server answers", "WD505(WD507)", func(f *Facts) {
		f.Names[0].Answer = "no answer within 1s"
		f.Live.Clusters[0] = LiveCluster{Name: "shop", Type: "STRICT_DNS", Names: []string{"shop.example"}}
	})
	f("one name server answers", "", func(f *Facts) { f.Names = append(f.Names, NameServer{Addr: "x", Answer: "no"}) })
	f("all hosts are down", "WD506(WD507)", func(f *Facts) { f.Reach[0].Error = "connection refused"; f.Live.Clusters[0].Healthy = 0 })
	f("two clusters are down", "WD506(WD507) WD506", func(f *Facts) {
		f.Reach[0].Error, f.Live.Clusters[0].Healthy = "connection refused", 0
		f.Reach = append(f.Reach, Reach{Kind: kindCluster, Name: "more", Addr: "10.0.1.2:80", Error: "no route to host"})
	})
	f("one host of two is down", "!WD506", func(f *Facts) {
		f.Reach = append(f.Reach, Reach{Kind: kindCluster, Name: "shop", Addr: "10.0.1.2:80", Error: "connection refused"})
	})
	f("health checks fail", "WD507", func(f *Facts) { f.Live.Clusters[0].Healthy = 0 })
	f("a cluster that is meant to be empty", "~WD507", func(f *Facts) { f.Live.Clusters[0] = LiveCluster{Name: "shop", Type: "STATIC"} })
	f("the admin interface is elsewhere", "WD601", func(f *Facts) { f.Live, f.LiveError = nil, "connection refused" })
	f("the control plane is gone", "WD602(WD605)(WD606)(WD608)", func(f *Facts) {
		x := f.Live.XDS
		x.Sources[0] = LiveSource{Name: "ads", For: 61, Error: "connection refused", Failures: 3}
		x.Warming = []LiveWarm{{"cluster", "shop", "EDS \"shop\"", 60}}
		x.LastGood = &LiveGood{noon, 4}
		f.Live.State = "INITIALIZING"
		f.Reach = append(f.Reach, Reach{Kind: kindControl, Name: "10.0.0.9:18000", Addr: "10.0.0.9:18000", Error: "connection refused"})
	})
	f("an update was rejected", "WD603", func(f *Facts) { f.Live.XDS.NACKs = []LiveNACK{{"cds", "2", noon, "cluster \"b\": unset"}} })
	f("not all was applied", "WD604", func(f *Facts) { f.Live.XDS.ApplyError = "listener \"in\": address already in use" })
	f("a cluster warms", "!WD605", func(f *Facts) { f.Live.XDS.Warming = []LiveWarm{{"cluster", "shop", "EDS \"shop\"", 60}} })
	f("a cluster has just begun to warm", "", func(f *Facts) { f.Live.XDS.Warming = []LiveWarm{{"cluster", "shop", "EDS \"shop\"", 1}} })
	f("fields without effect", "~WD607", func(f *Facts) { f.Live.XDS.Degraded = []string{"shop: dns_jitter: not supported"} })
	f("it drains", "!WD608", func(f *Facts) { f.Live.State = "DRAINING" })
	f("nothing but a file", "WD506", func(f *Facts) {
		*f = Facts{At: noon, Live: &Live{Offline: true, Clusters: f.Live.Clusters, XDS: f.Live.XDS}, Reach: []Reach{{Kind: kindCluster, Name: "shop", Addr: "10.0.1.1:80", Error: "connection refused"}}}
		f.read(partLive)
		f.read(partReach)
	})
	f("nothing could be read", "", func(f *Facts) { *f = Facts{At: noon} })
}

// TestReport holds what people and machines read to files.
func TestReport(t *testing.T) {
	f := healthy()
	f.Rules[0].Found = []intercept.Finding{
		{Code: "table-missing", Level: intercept.Problem, Text: "there is no table inet weir-main: nothing is intercepted"},
		{Code: "ip-rule-missing", Level: intercept.Problem, Text: "a policy rule is missing", Fix: "ip -4 rule add pref 5101 fwmark 0x1000/0x3000 lookup 15001 protocol 87"},
	}
	f.Conntrack.Count = 800
	f.Clock.Synced = false
	f.Unread = []Unread{{partChains, "list chains: operation not permitted (is CAP_NET_ADMIN missing?)"}}
	t.Setenv("RUNTIME_DIRECTORY", "/run/weir")
	r := Diagnose(f)
	golden(t, "testdata/report.txt", r.Text())
	b, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/report.json", string(b)+"\n")
	golden(t, "testdata/healthy.txt", Diagnose(healthy()).Text())
	if only := Diagnose(f, "WD401"); len(only.Findings) != 1 || len(only.Checked) != 1 {
		t.Errorf("only WD401: %+v", only)
	}
}
