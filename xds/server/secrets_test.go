package server

import (
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func socket(t *testing.T, m proto.Message) *corev3.TransportSocket {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return &corev3.TransportSocket{Name: "tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: a}}
}

func sds(name string, from *corev3.ConfigSource) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: from}
}

// A set is refused when a listener or cluster refers to a secret that it lacks, and secrets go out first.
func TestSecretsAreReferredTo(t *testing.T) {
	ads := &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
	file := &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Path{Path: "/f"}}
	in := &listenerv3.Listener{Name: "in", FilterChains: []*listenerv3.FilterChain{{TransportSocket: socket(t, &tlsv3.DownstreamTlsContext{
		CommonTlsContext: &tlsv3.CommonTlsContext{TlsCertificateSdsSecretConfigs: []*tlsv3.SdsSecretConfig{sds("cert", ads), sds("file", file)}},
	})}}}
	out := &clusterv3.Cluster{Name: "out", TransportSocket: socket(t, &tlsv3.UpstreamTlsContext{CommonTlsContext: &tlsv3.CommonTlsContext{
		ValidationContextType: &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: sds("ca", ads)},
	}})}
	set := func(ms ...proto.Message) *resourceSet {
		s := &resourceSet{}
		for _, m := range ms {
			if err := s.add(m, nil); err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	problems, _ := set(in, out, &tlsv3.Secret{Name: "ca"}).check()
	if len(problems) != 1 || problems[0].Error() != `Listener "in" refers to Secret "cert", which is not in the set` {
		t.Errorf("problems: %v", problems)
	}
	whole := set(in, out, &tlsv3.Secret{Name: "ca"}, &tlsv3.Secret{Name: "cert"}, &tlsv3.Secret{Name: "file"})
	problems, warnings := whole.check()
	if len(problems) != 0 || len(warnings) != 1 || !strings.HasPrefix(warnings[0], `Secret "file" is served, but nothing`) {
		t.Errorf("problems %v, warnings %v", problems, warnings)
	}
	from, to := snapshotOf(t), snapshotOf(t, in, out, &tlsv3.Secret{Name: "ca"}, &tlsv3.Secret{Name: "cert"})
	first := stages(from, to)[0]
	if len(first.Resources[types.Secret].Items) != 2 || len(first.Resources[types.Cluster].Items) != 0 {
		t.Errorf("first goes out %s", versions(first))
	}
}
