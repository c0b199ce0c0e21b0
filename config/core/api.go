package core

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// An API is a compiled ApiConfigSource: how a control plane is asked, and where it is.
type API struct {
	// Aggregated says that the aggregated stream is meant, whose own source has the rest.
	Aggregated bool
	// REST polls Clusters every Refresh, give or take, and waits RequestTimeout for an answer. Otherwise streams go to Services.
	REST                    bool
	Clusters                []string
	Refresh, RequestTimeout time.Duration
	// Delta speaks the incremental protocol.
	Delta bool
	// Services are the gRPC services to try, in this order.
	Services []Service
	// NodeAlways sends the node with every request (set_node_on_first_message_only: false).
	NodeAlways bool
	// Rate bounds the requests that are sent (rate_limit_settings); nil is no bound.
	Rate *Rate
}

// A Rate is a token bucket of requests: Burst at once, PerSecond on average.
type Rate struct {
	Burst     uint32
	PerSecond float64
}

// Defaults of an ApiConfigSource. (Envoy: Http::AsyncClient's request timeout; RateLimitSettings: 100 tokens, 10 a second.)
const (
	defaultRequestTimeout = time.Second
	defaultBurst          = 100
	defaultPerSecond      = 10
	minPerSecond          = 1. / (365 * 24 * 3600) // once a year, Envoy's least fill_rate
)

// Name names the control plane for people.
func (a *API) Name() string {
	switch {
	case len(a.Clusters) > 0:
		return a.Clusters[0]
	case len(a.Services) > 0:
		return a.Services[0].Name()
	}
	return ""
}

// ClusterNames are the static clusters by which the control plane is reached.
func (a *API) ClusterNames() (names []string) {
	names = append(names, a.Clusters...)
	for i := range a.Services {
		if c := a.Services[i].Cluster; c != "" {
			names = append(names, c)
		}
	}
	return names
}

// DecodeAPI reads an ApiConfigSource. Fields without effect are left to the support table.
func DecodeAPI(l *fielderr.List, path string, m *corev3.ApiConfigSource) *API {
	a := &API{NodeAlways: !m.GetSetNodeOnFirstMessageOnly()}
	switch m.GetApiType() {
	case corev3.ApiConfigSource_AGGREGATED_GRPC:
		a.Aggregated = true
	case corev3.ApiConfigSource_AGGREGATED_DELTA_GRPC:
		a.Aggregated, a.Delta = true, true
	case corev3.ApiConfigSource_DELTA_GRPC:
		a.Delta = true
	case corev3.ApiConfigSource_GRPC:
	case corev3.ApiConfigSource_REST:
		a.REST = true
	default:
		l.Addf(path+".api_type", "%s is not spoken (use GRPC, DELTA_GRPC or REST)", m.GetApiType())
		return a
	}
	a.Rate = decodeRate(l, path+".rate_limit_settings", m.GetRateLimitSettings())
	if a.REST {
		decodeREST(l, path, a, m)
		return a
	}
	if len(m.GetClusterNames()) > 0 {
		l.Addf(path+".cluster_names", "for REST only (use grpc_services)")
	}
	if len(m.GetGrpcServices()) == 0 && !a.Aggregated {
		l.Addf(path+".grpc_services", "no gRPC service is named")
	}
	for i, g := range m.GetGrpcServices() {
		a.Services = append(a.Services, DecodeService(l, fielderr.Index(path+".grpc_services", i), g))
	}
	return a
}

func decodeREST(l *fielderr.List, path string, a *API, m *corev3.ApiConfigSource) {
	if len(m.GetGrpcServices()) > 0 {
		l.Addf(path+".grpc_services", "set on a source of type REST (use cluster_names)")
	}
	if a.Clusters = m.GetClusterNames(); len(a.Clusters) == 0 {
		l.Addf(path+".cluster_names", "no cluster is named")
	}
	for i, name := range a.Clusters {
		if name == "" {
			l.Addf(fielderr.Index(path+".cluster_names", i), "empty")
		}
	}
	if m.GetRefreshDelay() == nil {
		l.Addf(path+".refresh_delay", "unset; REST sources are polled at this interval")
	}
	a.Refresh = l.PositiveDuration(path+".refresh_delay", m.GetRefreshDelay(), time.Second)
	a.RequestTimeout = l.PositiveDuration(path+".request_timeout", m.GetRequestTimeout(), defaultRequestTimeout)
}

func decodeRate(l *fielderr.List, path string, m *corev3.RateLimitSettings) *Rate {
	if m == nil {
		return nil
	}
	r := &Rate{Burst: fielderr.Uint32(m.GetMaxTokens(), defaultBurst), PerSecond: defaultPerSecond}
	if f := m.GetFillRate(); f != nil {
		r.PerSecond = f.GetValue()
	}
	if r.Burst == 0 {
		l.Addf(path+".max_tokens", "0 lets nothing through")
	}
	if !(r.PerSecond > 0) {
		l.Addf(path+".fill_rate", "want more than 0, found %v", r.PerSecond)
	}
	r.PerSecond = max(r.PerSecond, minPerSecond)
	return r
}

// decodeMetadata reads headers to send along: key, value, key, value …
func decodeMetadata(l *fielderr.List, path string, hs []*corev3.HeaderValue) (out []string) {
	for i, h := range hs {
		v := h.GetValue()
		if v == "" {
			v = string(h.GetRawValue())
		}
		at := fielderr.Index(path, i)
		switch key := strings.ToLower(h.GetKey()); {
		case key == "" || strings.HasPrefix(key, ":") || strings.HasPrefix(key, "grpc-"):
			l.Addf(at+".key", "%q cannot be sent", h.GetKey())
		case strings.Contains(v, "%"):
			l.Addf(at+".value", "substitutions (%%…%%) are not supported here")
		default:
			out = append(out, key, v)
		}
	}
	return out
}

// sourceOf gives the Source of references that are served as m says. Equal messages are equal sources.
func sourceOf(l *fielderr.List, path string, m *corev3.ApiConfigSource) (src extension.Source) {
	a := DecodeAPI(l, path, m)
	if a.Aggregated {
		return src
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		l.Add(path, err)
	}
	return extension.Source{Cluster: a.Name(), API: string(b), Delta: a.Delta, NodeAlways: a.NodeAlways}
}

// SourceAPI gives how the control plane of a Source that references name is reached.
func SourceAPI(src extension.Source) (*API, error) {
	m := &corev3.ApiConfigSource{}
	if err := proto.Unmarshal([]byte(src.API), m); err != nil {
		return nil, err
	}
	var l fielderr.List
	a := DecodeAPI(&l, "api_config_source", m)
	return a, l.Err()
}
