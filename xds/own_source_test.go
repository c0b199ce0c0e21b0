package xds_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
)

// apiSource is a control plane behind the cluster "cp".
func apiSource(api corev3.ApiConfigSource_ApiType) *corev3.ConfigSource {
	return &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_ApiConfigSource{ApiConfigSource: &corev3.ApiConfigSource{
		ApiType: api, TransportApiVersion: corev3.ApiVersion_V3, SetNodeOnFirstMessageOnly: true,
		GrpcServices: []*corev3.GrpcService{{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
			EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: "cp"},
		}}},
	}}}
}

// TestReferencesToOwnSources: routes come by the incremental protocol from a stream of their own, endpoints by state of the world, and
// others from a file; listeners and clusters come by ADS.
func TestReferencesToOwnSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "eds.yaml")
	put(t, file, fileAssignment("filed", 80))

	w := newWorld(t)
	w.serve("", server.Options{AllowInconsistent: true})
	filed, streamed, delta := edsCluster("filed"), edsCluster("streamed"), edsCluster("delta")
	filed.EdsClusterConfig.EdsConfig = &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_PathConfigSource{
		PathConfigSource: &corev3.PathConfigSource{Path: file},
	}}
	streamed.EdsClusterConfig.EdsConfig = apiSource(corev3.ApiConfigSource_GRPC)
	delta.EdsClusterConfig.EdsConfig = apiSource(corev3.ApiConfigSource_DELTA_GRPC)
	in := rdsListener(t, "in", "r")
	var h hcmv3.HttpConnectionManager
	if err := in.FilterChains[0].Filters[0].GetTypedConfig().UnmarshalTo(&h); err != nil {
		t.Fatal(err)
	}
	h.GetRds().ConfigSource = apiSource(corev3.ApiConfigSource_DELTA_GRPC)
	if err := in.FilterChains[0].Filters[0].GetTypedConfig().MarshalFrom(&h); err != nil {
		t.Fatal(err)
	}
	w.set(filed, streamed, delta, assignment("streamed", 80), assignment("delta", 80), in, routeTo("r", "filed"))

	var opened []extension.Source
	w.connect(xds.Options{
		ADS: &xds.ADS{Services: xds.Servers(w.addr)},
		Open: func(src extension.Source) (xds.Remote, error) {
			opened = append(opened, src)
			return &xds.ADS{Services: xds.Servers(w.addr), Delta: src.Delta}, nil
		},
	})
	w.wait("all of it", func() bool {
		s := w.last()
		return len(s.Clusters) == 3 && len(s.Endpoints) == 3 && s.Listeners["in"] != nil && len(s.Routes) == 1
	})
	s := w.now()
	begin := func(m map[string]*config.Resource, key string) bool {
		for k := range m {
			if strings.HasPrefix(k, key) {
				return true
			}
		}
		return false
	}
	if s.Endpoints["filed from "+file] == nil || !begin(s.Endpoints, "streamed from cluster cp #") || !begin(s.Routes, "r from cluster cp #") {
		t.Errorf("keys are %v and %v", s.Endpoints, s.Routes)
	}
	if len(opened) != 3 {
		t.Errorf("%d streams were opened, want 3: %+v", len(opened), opened)
	}

	put(t, file, fileAssignment("filed", 81))
	w.wait("the file's change", func() bool { return w.last().Endpoints["filed from "+file] != s.Endpoints["filed from "+file] })

	w.set(filed, routeTo("r", "filed"))
	w.wait("the end of the streams", func() bool {
		st := w.client.Status()
		return len(st.Sources) == 2 && len(w.last().Endpoints) == 1 && len(w.last().Routes) == 0
	})
}

func fileAssignment(name string, port int) string {
	return fmt.Sprintf(`resources:
- "@type": type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment
  cluster_name: %s
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: %d}}}}]}]
`, name, port)
}
