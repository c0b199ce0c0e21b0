package arch

import (
	"slices"
	"strings"
	"testing"
)

// rule says what a package may import of this module. A pattern ending in
// /... means the package and all below it.
type rule struct {
	pkg string
	may []string
}

// Layers, lowest first. A package imports only downwards.
var (
	leaves = []string{"proxy/header", "proxy/info", "proxy/grpc"}
	model  = append([]string{"config/..."}, leaves...)
	level1 = append([]string{
		"proxy/stream/...", "proxy/conn/...", "proxy/tcp/...", "proxy/tlsctx/...", "proxy/buffer/...",
		"proxy/stats/...", "proxy/logging", "proxy/sniff/...", "proxy/netio/...", "proxy/park/...", "proxy/tokenbucket", "proxy/flows",
	}, model...)
	level2 = append([]string{"proxy/upstream/...", "proxy/codec/..."}, level1...)
	level3 = append([]string{"filters"}, level2...)
	level4 = append([]string{"proxy/hcm/...", "proxy/listener/..."}, level3...)
	level5 = append([]string{"proxy", "proxy/layers", "xds/..."}, level4...)
)

// rules is read from the top; the first line whose pattern fits decides. A
// package no line fits fails the test: say where it belongs first.
var rules = []rule{
	// Leaf vocabularies, used by both columns.
	{"proxy/header", nil},
	{"proxy/info", nil},
	{"proxy/grpc", []string{"proxy/header"}},
	{"config/fielderr", nil}, // errors with field paths: below everything that decodes
	{"config/turn", nil},     // pauses of long work, for all of this column
	{"config/yamlproto", []string{"config/fielderr", "config/turn"}},
	{"config/runtime", []string{"config/fielderr", "config/yamlproto"}}, // what can change a value while it is in force
	{"config/extension", []string{"config/fielderr", "config/runtime"}},
	{"config/match", []string{"config/fielderr", "config/runtime", "proxy/header"}},
	// Matcher trees read connections and headers, as filters do: below all of config that has matchers in it.
	{"config/match/tree", []string{"config/match", "config/fielderr", "config/runtime", "config/yamlproto", "proxy/header", "proxy/info"}},
	{"config/protos", nil},

	// The control column: compiles without the data plane.
	{"config/...", model},
	{"xds/...", append([]string{"xds/..."}, model...)},

	// The data column.
	{"proxy/intercept/...", []string{"proxy/intercept/..."}},
	{"proxy/buffer", nil},
	{"proxy/stats", nil},
	{"proxy/logging", nil},
	{"proxy/tokenbucket", nil},
	{"proxy/flows", []string{"proxy/info", "proxy/header"}}, // filled by streams and listeners, read by admin
	{"proxy/watchdog", nil},                                 // knows nothing of what it watches
	{"proxy/sniff", []string{"proxy/info"}},
	{"proxy/netio", []string{"proxy/buffer", "proxy/info"}},
	{"proxy/stream/...", level1},
	{"proxy/conn/...", level1},
	{"proxy/tcp/...", level1},
	{"proxy/tlsctx/...", level1},
	{"proxy/layers", level1}, // what changes runtime values
	{"proxy/park/...", level1},
	{"proxy/upstream/...", append([]string{"proxy/upstream/...", "proxy/codec/..."}, level1...)}, // pools speak a codec, never the reverse
	{"proxy/codec/...", append([]string{"proxy/codec/..."}, level1...)},
	{"filters", level2},
	{"proxy/hcm/...", append([]string{"proxy/hcm/..."}, level3...)},
	{"proxy/listener/...", append([]string{"proxy/listener/..."}, level3...)},
	{"filters/builtin", []string{"filters/...", "config/extension"}},
	{"filters/...", append([]string{"filters/accesslog"}, level4...)}, // and no other filter: TestFiltersStandAlone
	{"proxy/admin/...", append([]string{"proxy/admin/...", "proxy/explain/...", "proxy/doctor/..."}, level5...)},
	{"proxy/explain/...", append([]string{"proxy/explain/...", "filters/http/router"}, level5...)}, // what the router would do, it says itself
	{"proxy/doctor/...", append([]string{"proxy/doctor/...", "proxy/intercept/..."}, level5...)},
	{"proxy", append([]string{"proxy/layers"}, level4...)},

	// What imports everything.
	{"cmd/...", []string{"..."}},
	{"test/...", []string{"..."}},
}

// protos are the packages that see protos: those that read configuration, and
// admin, which prints it. Load-balancing policies are built like filters: an
// extension.Factory with its own parse step.
var protos = []string{
	"config/...", "xds/...", "filters/...", "proxy/upstream/lb", "proxy/admin/...", "proxy/explain/...", "cmd/...", "test/...",
}

// external says who alone may import a dependency, by prefix of its path.
var external = []struct {
	prefix string
	may    []string
	why    string
}{
	{
		"github.com/envoyproxy/go-control-plane/",
		protos,
		"no function on the request path sees a proto",
	},
	{
		"google.golang.org/protobuf/",
		protos,
		"no function on the request path sees a proto",
	},
	{
		"google.golang.org/grpc",
		[]string{"xds/...", "filters/http/extauthz", "filters/http/extproc", "filters/http/ratelimit", "filters/accesslog/grpc", "test/..."},
		"gRPC serves the control plane and external calls, never proxied traffic",
	},
	{
		"github.com/google/nftables",
		[]string{"proxy/intercept/...", "test/..."},
		"only interception touches the firewall",
	},
	{
		"github.com/coreos/go-iptables",
		[]string{"proxy/intercept/...", "test/..."},
		"only interception touches the firewall",
	},
	{
		"github.com/vishvananda/netlink",
		[]string{"proxy/intercept/...", "test/...", "cmd/..."},
		"only interception and namespaces made for tests and the demo touch links and routes",
	},
	{
		"github.com/mdlayher/netlink",
		[]string{"proxy/intercept/...", "test/..."},
		"only interception touches the firewall",
	},
	{
		"github.com/spf13/",
		[]string{"cmd/...", "test/..."},
		"flags are read in cmd and passed down",
	},
	{
		"github.com/prometheus/",
		nil,
		"the exposition is our own; the library judges it in tests",
	},
	{
		"github.com/sony/gobreaker",
		[]string{"proxy/upstream/..."},
		"a breaker guards hosts and clusters",
	},
	{
		"go.yaml.in/yaml",
		[]string{"config/yamlproto", "config/bootstrap", "config/support", "xds/server", "test/...", "cmd/..."},
		"YAML is read with positions, in one place",
	},
}

func TestImportDirection(t *testing.T) {
	for _, p := range ours(t) {
		i := slices.IndexFunc(rules, func(r rule) bool { return fits(r.pkg, p.rel()) })
		if i < 0 {
			t.Errorf("%s: no rule; add the package to the table in %s", p.rel(), "test/arch/imports_test.go")
			continue
		}
		for _, imp := range p.Imports {
			rel, own := strings.CutPrefix(imp, module+"/")
			if own && !anyFits(rules[i].may, rel) {
				t.Errorf("%s imports %s; rule %q allows %v", p.rel(), rel, rules[i].pkg, rules[i].may)
			}
		}
	}
}

func TestExternalImports(t *testing.T) {
	for _, p := range ours(t) {
		for _, imp := range p.Imports {
			for _, e := range external {
				if strings.HasPrefix(imp, e.prefix) && !anyFits(e.may, p.rel()) {
					t.Errorf("%s imports %s: %s", p.rel(), imp, e.why)
				}
			}
		}
	}
}

func TestFiltersStandAlone(t *testing.T) {
	for _, p := range ours(t) {
		own := filterOf(p.rel())
		if own == "" {
			continue
		}
		for _, imp := range p.Imports {
			other := filterOf(strings.TrimPrefix(imp, module+"/"))
			if other != "" && other != own {
				t.Errorf("filter %s imports filter %s", own, other)
			}
		}
	}
}

// filterOf returns kind/name of the filter a package belongs to, or "".
func filterOf(rel string) string {
	parts := strings.Split(rel, "/")
	if len(parts) < 3 || parts[0] != "filters" {
		return ""
	}
	return parts[1] + "/" + parts[2]
}

// TestColumnsMeetOnlyInConfig keeps the two columns apart even if a line above errs.
func TestColumnsMeetOnlyInConfig(t *testing.T) {
	for _, p := range ours(t) {
		for _, imp := range p.Imports {
			rel := strings.TrimPrefix(imp, module+"/")
			switch {
			case fits("xds/...", p.rel()) && fits("proxy/...", rel) && !slices.Contains(leaves, rel),
				fits("config/...", p.rel()) && fits("proxy/...", rel) && !slices.Contains(leaves, rel),
				fits("config/...", p.rel()) && fits("xds/...", rel):
				t.Errorf("%s imports %s: the control column must compile without the data plane", p.rel(), rel)
			}
		}
	}
}

func anyFits(patterns []string, rel string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return fits(p, rel) })
}

func fits(pattern, rel string) bool {
	if pattern == "..." {
		return true
	}
	base, tree := strings.CutSuffix(pattern, "/...")
	return rel == base || tree && strings.HasPrefix(rel, base+"/")
}

func TestFits(t *testing.T) {
	f := func(pattern, rel string, want bool) {
		t.Helper()
		if got := fits(pattern, rel); got != want {
			t.Errorf("fits(%q, %q) = %v", pattern, rel, got)
		}
	}
	f("proxy", "proxy", true)
	f("proxy", "proxy/header", false)
	f("proxy/...", "proxy", true)
	f("proxy/...", "proxy/header", true)
	f("proxy/...", "proxyless", false)
	f("...", "anything/at/all", true)
}
