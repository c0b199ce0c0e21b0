package cluster_test

import (
	"flag"
	"fmt"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/yamlproto"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "write what the scripts give into testdata")

// TestDecode runs testdata/decode: each case is a Cluster in YAML and what it becomes, or a ClusterLoadAssignment when the case's
// name begins with "assignment".
func TestDecode(t *testing.T) {
	configtest.Scripts(t, "testdata/decode/*.txt", *rewrite, func(t *testing.T, name, input string) string {
		if len(name) >= 10 && name[:10] == "assignment" {
			p := &endpointv3.ClusterLoadAssignment{}
			read(t, input, p)
			d, err := cluster.DecodeAssignment(p)
			if err != nil {
				return err.Error()
			}
			return configtest.Dump(d)
		}
		p := &clusterv3.Cluster{}
		read(t, input, p)
		ctx := extension.NewContext(configtest.Registry(), p.GetName())
		d, err := cluster.Decode(p, ctx)
		if err != nil {
			return err.Error()
		}
		refs := ""
		for _, r := range ctx.Refs() {
			refs += fmt.Sprintf("\nrequires %s %s", r.TypeURL, r.Name)
		}
		base, err := cluster.Decode(&clusterv3.Cluster{Name: "a"}, extension.NewContext(configtest.Registry(), "a"))
		if err != nil {
			t.Fatal(err)
		}
		if name == "static with every default" {
			base = nil
		}
		return configtest.Changes(base, d) + refs
	})
}

func read(t *testing.T, text string, m proto.Message) {
	t.Helper()
	if len(protos.Types()) == 0 {
		t.Fatal("no types")
	}
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
}
