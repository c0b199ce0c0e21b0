package bootstrap

import (
	"strconv"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
)

// SourceKind is where resources come from.
type SourceKind uint8

// The kinds of sources.
const (
	// Aggregated: the ADS stream.
	Aggregated SourceKind = iota
	// API: a control plane of its own.
	API
	// Path: a file that is watched.
	Path
)

// String names the kind as the proto does.
func (k SourceKind) String() string {
	switch k {
	case API:
		return "api_config_source"
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
	// API is how the control plane is asked; for API, and for the ADS stream itself.
	API *core.API
	// Path is the watched file, and Watch the directory whose changes count besides its own (watched_directory), if any; for Path.
	Path, Watch string
	// InitialFetchTimeout is how long a start waits for the first answer; 0 waits for ever.
	InitialFetchTimeout time.Duration
}

func (d *decoder) sources() (ads, lds, cds *Source) {
	dr := d.m.GetDynamicResources()
	const path = "dynamic_resources"
	if a := dr.GetAdsConfig(); a != nil {
		ads = d.api(path+".ads_config", a)
		switch {
		case ads.API.Aggregated:
			d.fail(path+".ads_config.api_type", "%s says that the ADS stream is used, this is the ADS stream: want GRPC or DELTA_GRPC", a.GetApiType())
		case ads.API.REST:
			d.fail(path+".ads_config.api_type", "REST has no aggregated service: want GRPC or DELTA_GRPC")
		}
	}
	lds = d.source(path+".lds_config", dr.GetLdsConfig())
	cds = d.source(path+".cds_config", dr.GetCdsConfig())
	if ads != nil || lds != nil && lds.Kind == API || cds != nil && cds.Kind == API {
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
	case *corev3.ConfigSource_Self:
		d.needADS(path + ".self")
	case *corev3.ConfigSource_PathConfigSource:
		s.Kind, s.Path, s.Watch = Path, k.PathConfigSource.GetPath(), k.PathConfigSource.GetWatchedDirectory().GetPath()
	case *corev3.ConfigSource_Path:
		s.Kind, s.Path = Path, k.Path
	case *corev3.ConfigSource_ApiConfigSource:
		path := path + ".api_config_source"
		if s = d.api(path, k.ApiConfigSource); s.API.Aggregated {
			d.needADS(path)
			s.Kind, s.API = Aggregated, nil
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

// api reads how a control plane is reached. Each cluster must be a static one that needs no control plane itself.
func (d *decoder) api(path string, a *corev3.ApiConfigSource) *Source {
	var l fielderr.List
	s := &Source{Kind: API, InitialFetchTimeout: defaultFetchTimeout, API: core.DecodeAPI(&l, path, a)}
	for _, e := range fielderr.All(l.Err()) {
		d.errs = append(d.errs, d.x.Wrap(e.Path, e.Err))
	}
	for i, name := range s.API.Clusters {
		d.checkControlPlane(fielderr.Index(path+".cluster_names", i), name)
	}
	for i := range s.API.Services {
		d.checkControlPlane(fielderr.Index(path+".grpc_services", i)+".envoy_grpc.cluster_name", s.API.Services[i].Cluster)
	}
	return s
}

func (d *decoder) checkControlPlane(path, name string) {
	if name == "" {
		return // told already, or google_grpc
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
