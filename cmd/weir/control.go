package main

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/xds"
)

// decoder decodes what control planes send.
func (l *loaded) decoder(o *flags) *config.Decoder {
	mode := support.Degrade
	if o.rejectUnknownDynamic {
		mode = support.Strict
	}
	return &config.Decoder{Registry: l.registry, Runtime: l.runtime, Mode: mode, Secrets: secretNames(l.boot)}
}

// client makes the xDS client: static resources enter by the same door as those
// of a control plane.
func (l *loaded) client(o *flags, opts xds.Options, r *reach) (*xds.Client, error) {
	dec := l.decoder(o)
	opts.Node, opts.Static = l.boot.Node, l.static
	for _, r := range l.boot.Runtime {
		if r.RTDS != nil {
			opts.Roots = append(opts.Roots, *r.RTDS)
		}
	}
	opts.Decode = func(typeURL string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(typeURL, a, false) }
	opts.Again = dec.Again
	opts.Open = func(src extension.Source) (xds.Remote, error) {
		a, err := core.SourceAPI(src)
		if err != nil {
			return nil, err
		}
		return r.remote(src.String(), a)
	}
	if err := l.sources(&opts, r); err != nil {
		return nil, err
	}
	return xds.New(opts), nil
}

// sources says where each type of resource comes from. Listeners and clusters come
// from where lds_config and cds_config say, if these are there; what they refer to
// comes from the aggregated stream.
func (l *loaded) sources(opts *xds.Options, r *reach) error {
	b := l.boot
	aggregated := []xds.SourceType{{TypeURL: config.RuntimeURL}, {TypeURL: config.SecretURL}, {TypeURL: config.AssignmentURL}, {TypeURL: config.RouteURL}, {TypeURL: config.ScopeURL}, {TypeURL: config.VirtualHostURL}, {TypeURL: config.ExtensionURL}}
	for _, f := range []struct {
		name, url string
		s         *bootstrap.Source
	}{{"cds", config.ClusterURL, b.CDS}, {"lds", config.ListenerURL, b.LDS}} {
		if f.s == nil {
			if f.url == config.ClusterURL { // by name, when a request asks for one
				aggregated = append(aggregated, xds.SourceType{TypeURL: f.url, OnDemand: true})
			}
			continue
		}
		t := xds.SourceType{TypeURL: f.url, FetchTimeout: fetchTimeout(f.s)}
		switch f.s.Kind {
		case bootstrap.Path:
			opts.Files = append(opts.Files, xds.File{Path: f.s.Path, Watch: f.s.Watch, Type: t})
		case bootstrap.Aggregated:
			aggregated = append(aggregated, t)
		case bootstrap.API:
			one, err := r.single(f.name, f.s.API, t)
			if err != nil {
				return fmt.Errorf("dynamic_resources.%s_config: %w", f.name, err)
			}
			opts.Remotes = append(opts.Remotes, one)
		}
	}
	if b.ADS == nil {
		return nil
	}
	a, err := r.stream("ads", b.ADS.API)
	if err != nil {
		return fmt.Errorf("dynamic_resources.ads_config: %w", err)
	}
	a.Types = aggregated
	opts.ADS = a
	return nil
}

// controlPlanes are the addresses of all control planes that the bootstrap names.
func (l *loaded) controlPlanes() (out []string) {
	for _, s := range []*bootstrap.Source{l.boot.ADS, l.boot.LDS, l.boot.CDS} {
		if s == nil || s.API == nil {
			continue
		}
		for _, name := range s.API.ClusterNames() {
			c := l.clusters[name]
			if c == nil || c.Assignment == nil {
				continue
			}
			for _, loc := range c.Assignment.Localities {
				for _, e := range loc.Endpoints {
					out = append(out, target(e))
				}
			}
		}
		for i := range s.API.Services {
			if g := s.API.Services[i].Google; g != nil {
				out = append(out, g.Target)
			}
		}
	}
	return out
}

// fetchTimeout gives initial_fetch_timeout in the client's terms, where 0 is the
// default and negative is for ever.
func fetchTimeout(s *bootstrap.Source) time.Duration {
	if s.InitialFetchTimeout == 0 {
		return -1
	}
	return s.InitialFetchTimeout
}

func target(e *cluster.Endpoint) string {
	switch {
	case e.Pipe != "":
		return "unix:" + e.Pipe
	case e.Name != "":
		return net.JoinHostPort(e.Name, strconv.Itoa(int(e.Port)))
	}
	return e.Addr.String()
}
