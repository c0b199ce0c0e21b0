package cluster

import (
	"encoding/json"
	"maps"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// A TransportMatch is one of a cluster's transport_socket_matches.
type TransportMatch struct {
	Name   string
	Labels Labels            // what an endpoint must have; empty fits every endpoint
	Socket *extension.Parsed // nil is raw_buffer
}

// Labels are the values of an endpoint's metadata under envoy.transport_socket_match, each as JSON text; they are equal when their
// texts are.
type Labels map[string]string

// matchKey is the part of metadata that transport sockets are chosen by (Envoy: Cluster.TransportSocketMatch).
const matchKey = "envoy.transport_socket_match"

// ChooseTransport gives the place of the first match that an endpoint fits, by its own metadata or else by that of its locality; -1 when
// it is to use the cluster's transport_socket.
func ChooseTransport(all []TransportMatch, endpoint, locality Labels) int {
	for _, has := range [...]Labels{endpoint, locality} {
		for i := range all {
			if all[i].fits(has) {
				return i
			}
		}
	}
	return -1
}

func (m *TransportMatch) fits(has Labels) bool {
	for k, v := range m.Labels {
		if got, ok := has[k]; !ok || got != v {
			return false
		}
	}
	return true
}

func decodeTransport(l *fielderr.List, d *Cluster, p *clusterv3.Cluster, ctx *extension.Context) {
	d.TransportSocket = core.DecodeTransportSocket(l, "transport_socket", extension.UpstreamTransportSocket, p.GetTransportSocket(), ctx)
	seen := map[string]bool{}
	for i, m := range p.GetTransportSocketMatches() {
		at := fielderr.Index("transport_socket_matches", i)
		switch {
		case m.GetName() == "":
			l.Addf(at+".name", "empty")
		case seen[m.GetName()]:
			l.Addf(at+".name", "%q is there already", m.GetName())
		}
		seen[m.GetName()] = true
		d.TransportMatches = append(d.TransportMatches, TransportMatch{
			Name:   m.GetName(),
			Labels: labels(l, at+".match", m.GetMatch()),
			Socket: core.DecodeTransportSocket(l, at+".transport_socket", extension.UpstreamTransportSocket, m.GetTransportSocket(), ctx),
		})
	}
}

// metadataLabels gives what of metadata chooses a transport socket.
func metadataLabels(l *fielderr.List, at string, m *corev3.Metadata) Labels {
	s := m.GetFilterMetadata()[matchKey]
	if len(s.GetFields()) == 0 {
		return nil
	}
	return labels(l, fielderr.Key(fielderr.Join(at, "metadata.filter_metadata"), matchKey), s)
}

func labels(l *fielderr.List, at string, s *structpb.Struct) Labels {
	if len(s.GetFields()) == 0 {
		return nil
	}
	out := make(Labels, len(s.GetFields()))
	for k, v := range s.GetFields() {
		b, err := json.Marshal(v.AsInterface())
		if err != nil {
			l.Addf(fielderr.Key(at, k), "cannot be compared")
			continue
		}
		out[k] = string(b)
	}
	return out
}

// Equal tells whether two sets of labels are the same.
func (a Labels) Equal(b Labels) bool { return maps.Equal(a, b) }
