package route

import (
	"errors"
	"fmt"
	"math"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// defaultTimeout is Envoy's RouteAction.timeout.
const defaultTimeout = 15 * time.Second

func (d *decoder) forward(a *routev3.RouteAction, rt *Route) error {
	if a == nil {
		return errors.New("unset")
	}
	var errs fielderr.List
	f := &Forward{AppendXFH: a.AppendXForwardedHost}
	rt.Forward = f
	if rt.criteria.kind != pathRegex {
		f.MatchedPath = rt.criteria.text
	}
	d.target(&errs, a, rt)
	switch a.ClusterNotFoundResponseCode {
	case routev3.RouteAction_SERVICE_UNAVAILABLE:
		f.NotFoundCode = 503
	case routev3.RouteAction_NOT_FOUND:
		f.NotFoundCode = 404
	case routev3.RouteAction_INTERNAL_SERVER_ERROR:
		f.NotFoundCode = 500
	default:
		errs.Addf("cluster_not_found_response_code", "unknown value %d", a.ClusterNotFoundResponseCode)
	}
	switch a.Priority {
	case corev3.RoutingPriority_DEFAULT:
	case corev3.RoutingPriority_HIGH:
		f.High = true
	default:
		errs.Addf("priority", "unknown value %d", a.Priority)
	}
	rewrites(&errs, a, &f.Rewrite)
	timeouts(&errs, a, &f.Timeouts)
	f.Retry = d.vhostRetry
	if a.RetryPolicy != nil {
		rp, err := retryPolicy(a.RetryPolicy)
		errs.Add("retry_policy", err)
		f.Retry = rp
	}
	refuse(&errs, "retry_policy_typed_config", a.RetryPolicyTypedConfig != nil)
	f.HashPolicy = hashPolicies(&errs, a.HashPolicy)
	f.Upgrades = upgrades(&errs, a.UpgradeConfigs)
	if errs.Len() == 0 {
		d.lintTimeouts(rt, a)
	}
	return errs.Err()
}

// target reads where the request goes.
func (d *decoder) target(errs *fielderr.List, a *routev3.RouteAction, rt *Route) {
	f := rt.Forward
	switch s := a.ClusterSpecifier.(type) {
	case *routev3.RouteAction_Cluster:
		if s.Cluster == "" {
			errs.Addf("cluster", "empty")
		}
		f.Cluster = s.Cluster
	case *routev3.RouteAction_ClusterHeader:
		errs.Add("cluster_header", match.HeaderName(s.ClusterHeader))
		f.ClusterHeader = header.Intern(s.ClusterHeader)
	case *routev3.RouteAction_WeightedClusters:
		w, err := d.weighted(s.WeightedClusters, rt)
		errs.Add("weighted_clusters", err)
		f.Weighted = w
	case *routev3.RouteAction_ClusterSpecifierPlugin:
		errs.Addf("cluster_specifier_plugin", "not supported")
	case *routev3.RouteAction_InlineClusterSpecifierPlugin:
		errs.Addf("inline_cluster_specifier_plugin", "not supported")
	default:
		errs.Addf("cluster_specifier", "unset (one of cluster, cluster_header, weighted_clusters)")
	}
}

func (d *decoder) weighted(wc *routev3.WeightedCluster, rt *Route) (*Weighted, error) {
	if wc == nil {
		return nil, errors.New("unset")
	}
	var errs fielderr.List
	out := &Weighted{Clusters: make([]ClusterWeight, 0, len(wc.Clusters))}
	if len(wc.Clusters) == 0 {
		errs.Addf("clusters", "empty")
	}
	for i, c := range wc.Clusters {
		path := fielderr.Index("clusters", i)
		if c == nil {
			errs.Addf(path, "empty")
			continue
		}
		w, err := d.clusterWeight(c, rt)
		errs.Add(path, err)
		if wc.RuntimeKeyPrefix != "" {
			w.key = d.runtime().Key(wc.RuntimeKeyPrefix + "." + w.name())
			out.live = out.live || w.key != nil
		}
		out.Clusters = append(out.Clusters, w)
		out.Total += uint64(w.Weight)
	}
	switch s := wc.RandomValueSpecifier.(type) {
	case *routev3.WeightedCluster_HeaderName:
		errs.Add("header_name", match.HeaderName(s.HeaderName))
		out.HeaderName = header.Intern(s.HeaderName)
	case *routev3.WeightedCluster_UseHashPolicy:
		out.UseHashPolicy = s.UseHashPolicy.GetValue()
	}
	switch {
	case errs.Len() > 0:
	case out.Total == 0:
		errs.Addf("clusters", "the sum of the weights is 0")
	case out.Total > math.MaxUint32:
		errs.Addf("clusters", "the sum of the weights is %d, more than %d", out.Total, uint32(math.MaxUint32))
	case wc.TotalWeight.GetValue() > 0 && uint64(wc.TotalWeight.Value) != out.Total:
		// Envoy no longer looks at it: what counts is the sum.
		d.lint(rt, "route.weighted_clusters.total_weight", "deprecated and not looked at: it says %d, and the weights add up to %d",
			wc.TotalWeight.Value, out.Total)
	}
	return out, errs.Err()
}

func (d *decoder) clusterWeight(c *routev3.WeightedCluster_ClusterWeight, rt *Route) (ClusterWeight, error) {
	var errs fielderr.List
	w := ClusterWeight{Name: c.Name, Weight: c.Weight.GetValue()}
	switch {
	case c.Name != "" && c.ClusterHeader != "":
		errs.Addf("cluster_header", "set besides name")
	case c.ClusterHeader != "":
		errs.Add("cluster_header", match.HeaderName(c.ClusterHeader))
		w.ClusterHeader = header.Intern(c.ClusterHeader)
	case c.Name == "":
		errs.Addf("name", "empty")
	}
	if c.Weight == nil {
		errs.Addf("weight", "unset")
	}
	w.RequestMutations = mutations(&errs, "request", c.RequestHeadersToAdd, c.RequestHeadersToRemove)
	w.ResponseMutations = mutations(&errs, "response", c.ResponseHeadersToAdd, c.ResponseHeadersToRemove)
	if s, ok := c.HostRewriteSpecifier.(*routev3.WeightedCluster_ClusterWeight_HostRewriteLiteral); ok {
		errs.Add("host_rewrite_literal", match.HeaderValue(s.HostRewriteLiteral))
		w.HostRewrite = s.HostRewriteLiteral
	}
	w.FilterConfigs = override(d.filterConfigs(&errs, c.TypedPerFilterConfig), rt.FilterConfigs)
	return w, errs.Err()
}

func rewrites(errs *fielderr.List, a *routev3.RouteAction, w *Rewrite) {
	w.PrefixSet, w.Prefix = a.PrefixRewrite != "", a.PrefixRewrite
	errs.Add("prefix_rewrite", match.HeaderValue(a.PrefixRewrite))
	if a.RegexRewrite != nil {
		x, err := regexRewrite(a.RegexRewrite)
		errs.Add("regex_rewrite", err)
		w.Regex = x
		if w.PrefixSet {
			errs.Addf("regex_rewrite", "set besides prefix_rewrite")
		}
	}
	refuse(errs, "path_rewrite", a.PathRewrite != "")
	refuse(errs, "path_rewrite_policy", a.PathRewritePolicy != nil)
	switch h := a.HostRewriteSpecifier.(type) {
	case nil:
	case *routev3.RouteAction_HostRewriteLiteral:
		errs.Add("host_rewrite_literal", match.HeaderValue(h.HostRewriteLiteral))
		w.Host = h.HostRewriteLiteral
	case *routev3.RouteAction_AutoHostRewrite:
		w.AutoHost = h.AutoHostRewrite.GetValue()
	case *routev3.RouteAction_HostRewriteHeader:
		errs.Add("host_rewrite_header", match.HeaderName(h.HostRewriteHeader))
		w.HostHeader = header.Intern(h.HostRewriteHeader)
	case *routev3.RouteAction_HostRewritePathRegex:
		x, err := regexRewrite(h.HostRewritePathRegex)
		errs.Add("host_rewrite_path_regex", err)
		w.HostRegex = x
	default:
		errs.Addf("host_rewrite_specifier", "not supported")
	}
}

func regexRewrite(m *matcherv3.RegexMatchAndSubstitute) (*RegexRewrite, error) {
	if m == nil {
		return nil, errors.New("unset")
	}
	re, err := match.CompileSubstring(m.Pattern)
	if err != nil {
		var errs fielderr.List
		errs.Add("pattern", err)
		return nil, errs.Err()
	}
	x, wrong := newRegexRewrite(re, m.Substitution)
	if wrong == "" {
		if err := match.HeaderValue(m.Substitution); err != nil {
			wrong = err.Error()
		}
	}
	if wrong != "" {
		return nil, &fielderr.Error{Path: "substitution", Err: fmt.Errorf("%q %s", m.Substitution, wrong)}
	}
	return x, nil
}

func timeouts(errs *fielderr.List, a *routev3.RouteAction, t *Timeouts) {
	t.Route = errs.Duration("timeout", a.Timeout, defaultTimeout)
	t.Idle, t.IdleSet = errs.Duration("idle_timeout", a.IdleTimeout, 0), a.IdleTimeout != nil
	t.MaxGrpc, t.MaxGrpcSet = errs.Duration("max_grpc_timeout", a.MaxGrpcTimeout, 0), a.MaxGrpcTimeout != nil
	t.GrpcOffset = errs.Duration("grpc_timeout_offset", a.GrpcTimeoutOffset, 0)
	if m := a.MaxStreamDuration; m != nil {
		const in = "max_stream_duration."
		t.Route, t.OfStream = 0, true
		if m.MaxStreamDuration != nil {
			t.MaxStreamDuration, t.MaxStreamSet = errs.Duration(in+"max_stream_duration", m.MaxStreamDuration, 0), true
		}
		if m.GrpcTimeoutHeaderMax != nil {
			t.GrpcTimeoutHeaderMax, t.GrpcTimeoutHeaderSet = errs.Duration(in+"grpc_timeout_header_max", m.GrpcTimeoutHeaderMax, 0), true
		}
		if m.GrpcTimeoutHeaderOffset != nil {
			t.GrpcTimeoutHeaderOffs = errs.Duration(in+"grpc_timeout_header_offset", m.GrpcTimeoutHeaderOffset, 0)
		}
	}
}

func hashPolicies(errs *fielderr.List, l []*routev3.RouteAction_HashPolicy) []HashPolicy {
	var out []HashPolicy
	for i, p := range l {
		h, err := hashPolicy(p)
		errs.Add(fielderr.Index("hash_policy", i), err)
		out = append(out, h)
	}
	return out
}

func hashPolicy(p *routev3.RouteAction_HashPolicy) (HashPolicy, error) {
	var errs fielderr.List
	h := HashPolicy{Terminal: p.GetTerminal()}
	switch s := p.GetPolicySpecifier().(type) {
	case *routev3.RouteAction_HashPolicy_Header_:
		errs.Add("header.header_name", match.HeaderName(s.Header.GetHeaderName()))
		h.Header = header.Intern(s.Header.GetHeaderName())
		if rw := s.Header.GetRegexRewrite(); rw != nil {
			x, err := regexRewrite(rw)
			errs.Add("header.regex_rewrite", err)
			h.HeaderRegex = x
		}
	case *routev3.RouteAction_HashPolicy_Cookie_:
		if h.Cookie = s.Cookie.GetName(); h.Cookie == "" {
			errs.Addf("cookie.name", "empty")
		}
		h.CookieTTL, h.CookieTTLSet = errs.Duration("cookie.ttl", s.Cookie.GetTtl(), 0), s.Cookie.GetTtl() != nil
		h.CookiePath = s.Cookie.GetPath()
		errs.Add("cookie.path", match.HeaderValue(h.CookiePath))
		refuse(&errs, "cookie.attributes", len(s.Cookie.GetAttributes()) > 0)
	case *routev3.RouteAction_HashPolicy_ConnectionProperties_:
		h.SourceIP = s.ConnectionProperties.GetSourceIp()
	case *routev3.RouteAction_HashPolicy_QueryParameter_:
		if h.QueryParam = s.QueryParameter.GetName(); h.QueryParam == "" {
			errs.Addf("query_parameter.name", "empty")
		}
	case *routev3.RouteAction_HashPolicy_FilterState_:
		errs.Addf("filter_state", "not supported")
	default:
		errs.Addf("policy_specifier", "unset (one of header, cookie, connection_properties, query_parameter)")
	}
	return h, errs.Err()
}

func upgrades(errs *fielderr.List, l []*routev3.RouteAction_UpgradeConfig) []Upgrade {
	var out []Upgrade
	seen := map[string]bool{}
	for i, u := range l {
		path := fielderr.Index("upgrade_configs", i)
		up := Upgrade{Type: match.LowerString(u.GetUpgradeType()), Enabled: fielderr.Bool(u.GetEnabled(), true)}
		switch {
		case up.Type == "":
			errs.Addf(path+".upgrade_type", "empty")
		case seen[up.Type]:
			errs.Addf(path+".upgrade_type", "%q is there twice", up.Type)
		}
		seen[up.Type] = true
		if up.Type == "connect-udp" {
			errs.Addf(path+".upgrade_type", "CONNECT-UDP is not supported")
		}
		if c := u.GetConnectConfig(); c != nil {
			up.Terminate = true
			if up.Type != "connect" {
				errs.Addf(path+".connect_config", "for an upgrade of type %q (only for CONNECT)", u.GetUpgradeType())
			}
			refuse(errs, path+".connect_config.proxy_protocol_config", c.ProxyProtocolConfig != nil)
			refuse(errs, path+".connect_config.allow_post", c.AllowPost)
		}
		out = append(out, up)
	}
	return out
}
