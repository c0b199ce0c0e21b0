package goldens

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/upstream/lb"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if len(protos.Types()) == 0 { // links them
		panic("no types")
	}
	goleak.VerifyTestMain(m)
}

func decoder() *config.Decoder {
	return &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade}
}

// The whole corpus of a control plane, when GOLDENS names the folder of one: it prints the report.
func TestCorpus(t *testing.T) {
	dir := os.Getenv("GOLDENS")
	if dir == "" {
		t.Skip("GOLDENS names no folder")
	}
	scenarios, err := Read(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	d := decoder()
	for _, s := range scenarios {
		v := Judge(d, s)
		if testing.Verbose() && v.Refused > 0 {
			t.Logf("%s:\n\t%s", v.Name, strings.Join(distinct(v.Refusals), "\n\t"))
		}
		r.Add(v)
	}
	os.Stdout.WriteString(r.String())
}

var rewrite = flag.Bool("rewrite", false, "write the report of the samples into testdata")

// What control planes send in every case is here in small, written by hand, and what Weir says of it is beside it.
func TestSamples(t *testing.T) {
	scenarios, err := Read(os.DirFS("testdata/samples"))
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	var b strings.Builder
	d := decoder()
	for _, s := range scenarios {
		v := Judge(d, s)
		fmt.Fprintf(&b, "%s: %d in full, %d but for fields without effect, %d refused\n", v.Name, v.Accepted, v.Degraded, v.Refused)
		r.Add(v)
	}
	got := b.String() + r.String()
	const golden = "testdata/samples.txt"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
