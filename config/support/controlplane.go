package support

import "slices"

// controlPlaneFields are those by which a cluster asks for HTTP/2.
var controlPlaneFields = []string{
	"envoy.config.cluster.v3.Cluster.http2_protocol_options",
	"envoy.extensions.upstreams.http.v3.HttpProtocolOptions.ExplicitHttpConfig.http2_protocol_options",
}

// ForControlPlane tells whether the finding is about a field that a cluster may
// have when only this program's own gRPC client uses it: HTTP/2, as Envoy's own
// bootstraps ask for. The data path does not speak it yet.
func (f Finding) ForControlPlane() bool { return slices.Contains(controlPlaneFields, f.Field) }
