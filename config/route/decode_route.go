package route

import (
	"errors"
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func (d *decoder) route(r *routev3.Route, i int) (*Route, error) {
	var errs fielderr.List
	rt := &Route{Name: r.Name, Index: i, VirtualHost: d.vhost.HostSettings, specificLast: d.t.MostSpecificWins}
	c, err := newCriteria(r.Match, fielderr.Index(d.t.Name+"/"+d.vhost.Name, i), d.runtime())
	errs.Add("match", err)
	rt.criteria = c
	refuse(&errs, "route_specifiers", len(r.RouteSpecifiers) > 0)

	req := mutations(&errs, "request", r.RequestHeadersToAdd, r.RequestHeadersToRemove)
	resp := mutations(&errs, "response", r.ResponseHeadersToAdd, r.ResponseHeadersToRemove)
	rt.RequestMutations = d.levels(req, d.vhostReq, d.request)
	rt.ResponseMutations = d.levels(resp, d.vhostResp, d.response)
	rt.FilterConfigs = override(d.filterConfigs(&errs, r.TypedPerFilterConfig), d.vhostFilters)
	if rt.BufferLimit = bufferLimit(&errs, r.PerRequestBufferLimitBytes, r.RequestBodyBufferLimit); rt.BufferLimit < 0 {
		rt.BufferLimit = d.vhostLimit
	}

	switch a := r.Action.(type) {
	case *routev3.Route_Route:
		err := d.forward(a.Route, rt)
		errs.Add("route", err)
	case *routev3.Route_Redirect:
		rd, err := redirect(a.Redirect, &rt.criteria)
		errs.Add("redirect", err)
		rt.Redirect = rd
	case *routev3.Route_DirectResponse:
		dr, err := d.direct(a.DirectResponse)
		errs.Add("direct_response", err)
		rt.Direct = dr
	case *routev3.Route_FilterAction:
		errs.Addf("filter_action", "not supported")
	case *routev3.Route_NonForwardingAction:
		errs.Addf("non_forwarding_action", "not supported by a proxy that forwards")
	default:
		errs.Addf("action", "unset (one of route, redirect, direct_response)")
	}
	return rt, errs.Err()
}

// levels orders the mutations of route, virtual host and table.
func (d *decoder) levels(l ...*Mutations) []*Mutations {
	var out []*Mutations
	for i := range l {
		m := l[i]
		if d.t.MostSpecificWins {
			m = l[len(l)-1-i]
		}
		if m != nil {
			out = append(out, m)
		}
	}
	return out
}

// bufferLimit reads request_body_buffer_limit or its predecessor; -1 is unset.
func bufferLimit(errs *fielderr.List, old *wrapperspb.UInt32Value, limit *wrapperspb.UInt64Value) int64 {
	if limit != nil {
		return int64(min(limit.Value, math.MaxInt64))
	}
	if old != nil {
		return int64(old.Value)
	}
	return -1
}

func newCriteria(m *routev3.RouteMatch, use string, values *runtime.Registry) (criteria, error) {
	if m == nil {
		return criteria{}, errors.New("unset (write {prefix: /} for every path)")
	}
	var errs fielderr.List
	c := criteria{fold: m.CaseSensitive != nil && !m.CaseSensitive.Value}
	switch p := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Prefix:
		c.kind, c.text = pathPrefix, p.Prefix
	case *routev3.RouteMatch_Path:
		c.kind, c.text = pathExact, p.Path
	case *routev3.RouteMatch_PathSeparatedPrefix:
		c.kind, c.text = pathSeparated, p.PathSeparatedPrefix
		if n := len(c.text); n < 2 || c.text[n-1] == '/' {
			errs.Addf("path_separated_prefix", "%q: wanted at least two characters, the last not a slash", c.text)
		}
	case *routev3.RouteMatch_SafeRegex:
		re, err := match.NewRegex(p.SafeRegex)
		errs.Add("safe_regex", err)
		c.kind, c.re = pathRegex, re
		c.text, c.fold = p.SafeRegex.GetRegex(), false // Envoy: case_sensitive is ignored
	case *routev3.RouteMatch_ConnectMatcher_:
		c.kind, c.fold = pathConnect, false
	case *routev3.RouteMatch_PathMatchPolicy:
		errs.Addf("path_match_policy", "not supported (supported: prefix, path, safe_regex, path_separated_prefix)")
	default:
		errs.Addf("path_specifier", "unset (one of prefix, path, safe_regex, path_separated_prefix, connect_matcher)")
	}
	if c.fold {
		c.text = match.LowerString(c.text)
	}
	if m.RuntimeFraction != nil {
		f, err := match.NewRuntimeFraction(m.RuntimeFraction, use, values)
		errs.Add("runtime_fraction", err)
		if err != nil || !f.Always() {
			c.fraction = &f
		}
	}
	var err error
	c.headers, err = match.NewHeaders("headers", m.Headers)
	errs.Add("", err)
	c.queries, err = match.NewQueries("query_parameters", m.QueryParameters)
	errs.Add("", err)
	c.cookies, err = match.NewCookies("cookies", m.Cookies)
	errs.Add("", err)
	c.grpc = m.Grpc != nil
	refuse(&errs, "tls_context", m.TlsContext != nil)
	refuse(&errs, "dynamic_metadata", len(m.DynamicMetadata) > 0)
	refuse(&errs, "filter_state", len(m.FilterState) > 0)
	c.bare = !c.grpc && c.fraction == nil && len(c.headers)+len(c.queries)+len(c.cookies) == 0
	return c, errs.Err()
}

// redirectCodes is indexed by RedirectAction.RedirectResponseCode.
var redirectCodes = [...]int{301, 302, 303, 307, 308}

func redirect(a *routev3.RedirectAction, c *criteria) (*Redirect, error) {
	if a == nil {
		return nil, errors.New("unset")
	}
	var errs fielderr.List
	rd := &Redirect{Host: a.HostRedirect, Port: a.PortRedirect, StripQuery: a.StripQuery, criteria: c}
	if c.kind != pathRegex {
		rd.MatchedPath = c.text
	}
	switch s := a.SchemeRewriteSpecifier.(type) {
	case *routev3.RedirectAction_HttpsRedirect:
		rd.HTTPS = s.HttpsRedirect
	case *routev3.RedirectAction_SchemeRedirect:
		rd.Scheme = s.SchemeRedirect
	}
	switch p := a.PathRewriteSpecifier.(type) {
	case *routev3.RedirectAction_PathRedirect:
		rd.Path = p.PathRedirect
	case *routev3.RedirectAction_PrefixRewrite:
		rd.PrefixSet, rd.Prefix = p.PrefixRewrite != "", p.PrefixRewrite // Envoy: "" rewrites nothing
	case *routev3.RedirectAction_RegexRewrite:
		x, err := regexRewrite(p.RegexRewrite)
		errs.Add("regex_rewrite", err)
		rd.Regex = x
	case nil:
	default:
		errs.Addf("path_rewrite", "not supported (supported: path_redirect, prefix_rewrite, regex_rewrite)")
	}
	if a.PortRedirect > math.MaxUint16 {
		errs.Addf("port_redirect", "%d is not a port", a.PortRedirect)
	}
	errs.Add("host_redirect", match.HeaderValue(a.HostRedirect))
	errs.Add("path_redirect", match.HeaderValue(rd.Path))
	errs.Add("scheme_redirect", match.HeaderValue(rd.Scheme))
	if n := int(a.ResponseCode); n >= 0 && n < len(redirectCodes) {
		rd.Code = redirectCodes[n]
	} else {
		errs.Addf("response_code", "unknown value %d", n)
	}
	return rd, errs.Err()
}

func (d *decoder) direct(a *routev3.DirectResponseAction) (*DirectResponse, error) {
	if a == nil {
		return nil, errors.New("unset")
	}
	var errs fielderr.List
	dr := &DirectResponse{Code: int(a.Status)}
	if a.Status < 200 || a.Status > 599 {
		errs.Addf("status", "%d is not between 200 and 599", a.Status)
	}
	if a.Body != nil {
		b, err := d.source(a.Body)
		errs.Add("body", err)
		dr.Body = b
	}
	return dr, errs.Err()
}

// source reads a DataSource of no more than the table's limit.
func (d *decoder) source(s *corev3.DataSource) ([]byte, error) {
	return core.ReadData(s, uint64(d.maxBody), "max_direct_response_body_size_bytes")
}
