package bootstrap

import (
	"strconv"
	"strings"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/yamlproto"
)

// SourceKind is where resources come from.
type SourceKind uint8

// The kinds of sources.
const (
	// Aggregated: the ADS stream.
	Aggregated SourceKind = iota
	// GRPC: a stream of its own to Services.
	GRPC
	// Path: a file that is watched.
	Path
)

// String names the kind as the proto does.
func (k SourceKind) String() string {
	switch k {
	case GRPC:
		return "grpc"
	case Path:
		return "path_config_source"
	default:
		return "ads"
	}
}

// defaultFetchTimeout is how long Envoy waits for a first answer (ConfigSource.initial_fetch_timeout).
const defaultFetchTimeout = 15 * time.Second

// Source is a compiled ConfigSource.
type Source struct {
	Kind SourceKind
	// Services are the control planes to try, in this order; for GRPC, and for the ADS stream itself.
	Services []Service
	// Path is the watched file, and Watch the directory whose changes count besides its own (watched_directory), if any; for Path.
	Path, Watch string
	// InitialFetchTimeout is how long a start waits for the first answer; 0 waits for ever.
	InitialFetchTimeout time.Duration
	// Delta speaks the incremental protocol (api_type: DELTA_GRPC).
	Delta bool
	// NodeOnFirstOnly sends the node with the first request of a stream only (set_node_on_first_message_only).
	NodeOnFirstOnly bool
}

// Service is one gRPC control plane, reached through a static cluster.
type Service struct {
	Cluster   string
	Authority string // ":authority"; default: the cluster's name
	Metadata  []Header
}

// Header is one header that every stream carries.
type Header struct{ Name, Value string }

func (d *decoder) sources() (ads, lds, cds *Source) {
	dr := d.m.GetDynamicResources()
	const path = "dynamic_resources"
	if a := dr.GetAdsConfig(); a != nil {
		ads = d.api(path+".ads_config", a)
		switch a.GetApiType() {
		case corev3.ApiConfigSource_GRPC:
		case corev3.ApiConfigSource_AGGREGATED_GRPC:
			d.fail(path+".ads_config.api_type", "AGGREGATED_GRPC says that the ADS stream is used, this is the ADS stream: want GRPC")
		case corev3.ApiConfigSource_AGGREGATED_DELTA_GRPC:
			d.fail(path+".ads_config.api_type",
				"AGGREGATED_DELTA_GRPC says that the ADS stream is used, this is the ADS stream: want DELTA_GRPC")
		}
	}
	lds = d.source(path+".lds_config", dr.GetLdsConfig())
	cds = d.source(path+".cds_config", dr.GetCdsConfig())
	if ads != nil || lds != nil && lds.Kind == GRPC || cds != nil && cds.Kind == GRPC {
		for _, f := range []struct{ name, value string }{{"id", d.m.GetNode().GetId()}, {"cluster", d.m.GetNode().GetCluster()}} {
			if f.value == "" {
				d.fail("node."+f.name, "node.%s is empty: a control plane needs it to know this process", f.name)
			}
		}
	}
	return ads, lds, cds
}

func (d *decoder) source(path string, c *corev3.ConfigSource) *Source {
	if c == nil {
		return nil
	}
	s := &Source{InitialFetchTimeout: defaultFetchTimeout}
	switch k := c.GetConfigSourceSpecifier().(type) {
	case *corev3.ConfigSource_Ads:
		d.needADS(path + ".ads")
	case *corev3.ConfigSource_PathConfigSource:
		s.Kind, s.Path, s.Watch = Path, k.PathConfigSource.GetPath(), k.PathConfigSource.GetWatchedDirectory().GetPath()
	case *corev3.ConfigSource_Path:
		s.Kind, s.Path = Path, k.Path
	case *corev3.ConfigSource_ApiConfigSource:
		path := path + ".api_config_source"
		switch k.ApiConfigSource.GetApiType() {
		case corev3.ApiConfigSource_AGGREGATED_GRPC, corev3.ApiConfigSource_AGGREGATED_DELTA_GRPC:
			d.needADS(path)
		default:
			s = d.api(path, k.ApiConfigSource)
		}
	}
	if t := c.GetInitialFetchTimeout(); t != nil {
		s.InitialFetchTimeout = t.AsDuration()
		if s.InitialFetchTimeout < 0 {
			d.fail(path+".initial_fetch_timeout", "%v is negative", s.InitialFetchTimeout)
		}
	}
	return s
}

func (d *decoder) needADS(path string) {
	if d.m.GetDynamicResources().GetAdsConfig() == nil {
		d.fail(path, "the ADS stream is used and dynamic_resources.ads_config is missing")
	}
}

// api reads the control planes of a gRPC stream. Each must be a static cluster that needs no control plane itself.
func (d *decoder) api(path string, a *corev3.ApiConfigSource) *Source {
	s := &Source{Kind: GRPC, InitialFetchTimeout: defaultFetchTimeout, NodeOnFirstOnly: a.GetSetNodeOnFirstMessageOnly()}
	s.Delta = a.GetApiType() == corev3.ApiConfigSource_DELTA_GRPC
	if (s.Delta || a.GetApiType() == corev3.ApiConfigSource_GRPC) && len(a.GetGrpcServices()) == 0 {
		d.fail(path+".grpc_services", "no gRPC service is named")
	}
	for i, g := range a.GetGrpcServices() {
		at := path + ".grpc_services[" + strconv.Itoa(i) + "]"
		if g.GetEnvoyGrpc() == nil {
			continue // google_grpc is reported by the support table, neither by PGV
		}
		e := g.GetEnvoyGrpc()
		sv := Service{Cluster: e.GetClusterName(), Authority: e.GetAuthority()}
		if sv.Authority == "" {
			sv.Authority = sv.Cluster
		}
		for j, h := range g.GetInitialMetadata() {
			value := h.GetValue()
			if value == "" {
				value = string(h.GetRawValue())
			}
			if strings.Contains(value, "%") {
				d.fail(at+".initial_metadata["+strconv.Itoa(j)+"].value", "substitutions (%%…%%) are not supported here")
			}
			sv.Metadata = append(sv.Metadata, Header{Name: strings.ToLower(h.GetKey()), Value: value})
		}
		d.checkControlPlane(at+".envoy_grpc.cluster_name", sv.Cluster)
		s.Services = append(s.Services, sv)
	}
	return s
}

func (d *decoder) checkControlPlane(path, name string) {
	if name == "" {
		return // PGV says so
	}
	clusters := d.m.GetStaticResources().GetClusters()
	for _, c := range clusters {
		if c.GetName() != name {
			continue
		}
		if c.GetType() == clusterv3.Cluster_EDS {
			d.fail(path, "cluster %q finds its hosts by EDS; a control plane needs a static or DNS cluster", name)
		}
		return
	}
	names := make([]string, 0, len(clusters))
	for _, c := range clusters {
		names = append(names, c.GetName())
	}
	d.fail(path, "no static cluster is named %q", name)
	last := d.errs[len(d.errs)-1]
	last.Valid = names
	if near := yamlproto.Nearest(name, names); near != "" {
		last.Suggestion = "did you mean " + strconv.Quote(near) + "?"
	}
}
