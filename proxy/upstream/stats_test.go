package upstream

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weirproxy/weir/proxy/stats"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

// TestStatNames holds every name a cluster emits, for dashboards that know them
// from Envoy.
func TestStatNames(t *testing.T) {
	var b bytes.Buffer
	list := func(prefix string, names []stats.Name) {
		for _, n := range names {
			fmt.Fprintf(&b, "%-9v cluster.<name>.%s%s\n", n.Kind, prefix, n.Name)
		}
	}
	list("", stats.Names[Stats]())
	list("outlier_detection.", stats.Names[OutlierStats]())
	list("circuit_breakers.<priority>.", stats.Names[Remaining]())
	const file = "testdata/stats.txt"
	if *rewrite {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got; accept with -rewrite):\n%s", file, diff)
	}
}

func TestStatsArePrintedUnderTheClustersName(t *testing.T) {
	r := newRig(t, Options{})
	named := static("b", addrs(1)...)
	named.StatName = "alias"
	r.apply(static("a.b", addrs(2)...), named)
	r.get("a.b").CountResponse(503)
	var b bytes.Buffer
	if err := r.store.WriteText(&b, stats.Filter{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"cluster.a.b.membership_total: 2\n", "cluster.a.b.upstream_rq_503: 1\n", "cluster.a.b.upstream_rq_5xx: 1\n", "cluster.alias.membership_total: 1\n", "cluster.a.b.circuit_breakers.default.cx_open: 0\n"} {
		if !strings.Contains("\n"+b.String(), "\n"+want) {
			t.Errorf("no %q", want)
		}
	}
}
