package runtime_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	values "github.com/weirproxy/weir/config/runtime"
)

var rewrite = flag.Bool("rewrite", false, "write docs/runtime.md anew")

const intro = `# Runtime

Generated from ` + "`config/runtime/keys.go`" + `; ` + "`go test ./config/runtime -rewrite`" + ` writes it.

Runtime values change what a configuration says while it is in force, with the next request and with nothing made anew
([Envoy: runtime](https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/runtime)). They come from the layers of the
bootstrap's ` + "`layered_runtime`" + `, of which a later one overrides an earlier one:

- ` + "`static_layer`" + `: values in the bootstrap itself.
- ` + "`disk_layer`" + `: a folder in which each file is a value; its key is its path with dots for slashes. The folder is watched: any change
  counts, not only a swap of ` + "`symlink_root`" + `. Names that begin with a dot are passed over. What cannot be read keeps its last good values.
- ` + "`rtds_layer`" + `: values of a control plane, by ADS, by a stream or a REST service of its own, or from a file. No listener serves before the
  first answer, good or bad, or the end of ` + "`initial_fetch_timeout`" + `.
- ` + "`admin_layer`" + `: what ` + "`POST /runtime_modify?key=value`" + ` sets; an empty value removes.

` + "`GET /runtime`" + ` shows all layers and what is in force. A value of the wrong type is not seen by who reads the key: the default counts. A
percentage may be a whole number (of 100) or a FractionalPercent, ` + "`{numerator: 5, denominator: TEN_THOUSAND}`" + `.

## Keys that configurations name

All fields of these kinds read their key at every use, for one atomic load:

- RuntimeFractionalPercent: ` + "`runtime_fraction`" + ` of routes, ` + "`filter_enabled`" + `, ` + "`filter_enforced`" + ` and ` + "`shadow_enabled`" + ` of filters.
- RuntimeFeatureFlag: ` + "`runtime_enabled`" + ` of network filters. Connections that come while connection_limit is switched off by the runtime count
  when it is switched on.
- RuntimeUInt32: the values of access log filters. RuntimeDouble: ` + "`active_request_bias`" + `, when the hosts of the cluster change.
- ` + "`runtime_key`" + ` of an access log's runtime_filter; ` + "`*_runtime`" + ` of the fault filter.
- ` + "`runtime_key_prefix`" + ` of weighted clusters: ` + "`<prefix>.<cluster>`" + ` is the weight. When all weights are 0 the first cluster has all.

`

// TestDocs holds docs/runtime.md to the table of keys.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString(intro)
	f := func(head string, want func(values.KeyRow) bool) {
		b.WriteString(head)
		for _, r := range values.Keys() {
			if !want(r) {
				continue
			}
			kind := ""
			if r.Type != "" {
				kind = " (" + r.Type + ")"
			}
			fmt.Fprintf(&b, "- `%s`%s: %s.\n", r.Name, kind, r.Does)
		}
	}
	f("## Envoy's own keys that are read\n\n", func(r values.KeyRow) bool { return r.Type != "" })
	f("\n## Refused in the bootstrap\n\nEnvoy would serve differently by them, so a static layer must not have them; from elsewhere they are logged and have no effect.\n\n",
		func(r values.KeyRow) bool { return r.Bad })
	f("\n## Without meaning here\n\n", func(r values.KeyRow) bool { return !r.Bad && r.Type == "" })
	const file = "../../docs/runtime.md"
	if *rewrite {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
