package rig

import (
	"fmt"
	"net"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
)

// snapshot decodes what the options say, and names the first listener. A resource
// that did not change is the same one.
func (r *Rig) snapshot() (s *config.Snapshot, first string, err error) {
	all, err := r.resources()
	if err != nil {
		return nil, "", err
	}
	r.version++
	s = &config.Snapshot{
		Version: r.version, Secrets: map[string]*config.Resource{},
		Listeners: map[string]*config.Resource{}, Routes: map[string]*config.Resource{},
		Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{},
	}
	into := map[string]map[string]*config.Resource{
		config.SecretURL: s.Secrets, config.ClusterURL: s.Clusters, config.ListenerURL: s.Listeners,
	}
	kept := map[string]*config.Resource{}
	for _, a := range all {
		key := a.TypeUrl + " " + string(a.Value)
		res := r.decoded[key]
		if res == nil {
			if res, err = r.dec.Decode(a.TypeUrl, a, true); err != nil {
				return nil, "", err
			}
		}
		kept[key] = res
		into[a.TypeUrl][res.Name] = res
		if a.TypeUrl == config.ListenerURL && first == "" {
			first = res.Name
		}
	}
	r.decoded = kept
	return s, first, nil
}

// resources are those of the options, in the order in which they are to be decoded.
func (r *Rig) resources() ([]*anypb.Any, error) {
	var all []*anypb.Any
	if r.o.HCM != "" {
		a, err := hcmAny(r.o.HCM)
		if err != nil {
			return nil, err
		}
		all = append(all, pack(hcmListener(a)))
	}
	for name, addr := range r.o.Origins {
		all = append(all, pack(static(name, addr)))
	}
	if r.o.Config == "" {
		return all, nil
	}
	text := "static_resources:\n  " + strings.ReplaceAll(strings.TrimSpace(Expand(r.o.Config)), "\n", "\n  ")
	b, err := bootstrap.Load("", text, bootstrap.Options{Mode: support.Reject})
	if err != nil {
		return nil, err
	}
	for _, x := range b.Static.Secrets {
		r.dec.Secrets = append(r.dec.Secrets, x.Name)
	}
	for _, group := range [][]yamlproto.Resource{b.Static.Secrets, b.Static.Clusters, b.Static.Listeners} {
		for _, x := range group {
			all = append(all, x.Any)
		}
	}
	return all, nil
}

func hcmAny(text string) (*anypb.Any, error) {
	m := new(hcmv3.HttpConnectionManager)
	if _, err := yamlproto.Unmarshal([]byte(Expand(text)), m, yamlproto.Options{}); err != nil {
		return nil, err
	}
	return anypb.New(m)
}

// hcmListener serves a connection manager on loopback.
func hcmListener(hcm *anypb.Any) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name: "hcm", Address: address("127.0.0.1", 0),
		FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
			Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: hcm},
		}}}},
	}
}

// static makes a cluster of one host.
func static(name, addr string) *clusterv3.Cluster {
	c := &clusterv3.Cluster{Name: name}
	text := fmt.Sprintf("type: STATIC\nconnect_timeout: 1s\nload_assignment: %s", Endpoint(name, addr))
	if _, err := yamlproto.Unmarshal([]byte(text), c, yamlproto.Options{}); err != nil {
		panic(err)
	}
	return c
}

// Endpoint writes the load_assignment of one host.
func Endpoint(cluster, addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("{cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %q, port_value: %s}}}}]}]}",
		cluster, host, port)
}

func address(host string, port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func pack(m proto.Message) *anypb.Any {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return a
}
