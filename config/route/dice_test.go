package route

import (
	"strconv"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
)

// pathHost has routes that differ in their paths.
func (d dice) pathHost() *routev3.VirtualHost {
	v := d.table().VirtualHosts[0]
	for _, r := range v.Routes {
		r.Action, r.Match.RuntimeFraction = nil, nil
	}
	return v
}

// conditionHost has routes that differ in everything but their paths.
func (d dice) conditionHost() *routev3.VirtualHost {
	v := &routev3.VirtualHost{}
	for range 6 {
		m := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}}
		switch d.IntN(5) {
		case 0:
			q := &routev3.QueryParameterMatcher{Name: d.oneOf("a", "b")}
			switch d.IntN(3) {
			case 0:
				q.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_PresentMatch{PresentMatch: d.IntN(2) == 0}
			case 1:
				q.QueryParameterMatchSpecifier = &routev3.QueryParameterMatcher_StringMatch{StringMatch: d.text()}
			}
			m.QueryParameters = append(m.QueryParameters, q)
		case 1:
			m.Cookies = append(m.Cookies, &routev3.CookieMatcher{Name: d.oneOf("a", "b"), StringMatch: d.text(), InvertMatch: d.IntN(3) == 0})
		default:
			m.Headers = append(m.Headers, d.header())
		}
		v.Routes = append(v.Routes, &routev3.Route{Match: m})
	}
	return v
}

func (d dice) text() *matcherv3.StringMatcher {
	s := d.oneOf("a", "b", "ab", "A", "1", "a,b", "B,a")
	m := &matcherv3.StringMatcher{IgnoreCase: d.IntN(3) == 0}
	switch d.IntN(5) {
	case 0:
		m.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: d.oneOf(s, s, s, "")}
	case 1:
		m.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: s}
	case 2:
		m.MatchPattern = &matcherv3.StringMatcher_Suffix{Suffix: s}
	case 3:
		m.MatchPattern = &matcherv3.StringMatcher_Contains{Contains: s}
	case 4:
		m.IgnoreCase = false
		m.MatchPattern = &matcherv3.StringMatcher_SafeRegex{SafeRegex: d.regex("a|b", "a.*", ".+", "[ab]+", "a?", ".*b", "(?i)ab", "a,b", "^a$")}
	}
	return m
}

func (d dice) regex(l ...string) *matcherv3.RegexMatcher {
	return &matcherv3.RegexMatcher{Regex: d.oneOf(l...)}
}

func (d dice) header() *routev3.HeaderMatcher {
	h := &routev3.HeaderMatcher{
		Name:        d.oneOf("x", "y", "via", "x", "cookie", ":method", "host", ":authority"),
		InvertMatch: d.IntN(3) == 0, TreatMissingHeaderAsEmpty: d.IntN(4) == 0,
	}
	s := d.oneOf("a", "b", "ab", "1")
	switch d.IntN(9) {
	case 0:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_PresentMatch{PresentMatch: d.IntN(2) == 0}
	case 1:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{Start: int64(d.IntN(3)), End: 3 + int64(d.IntN(3))}}
	case 2:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_ExactMatch{ExactMatch: d.oneOf(s, "")}
	case 3:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_PrefixMatch{PrefixMatch: s}
	case 4:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_SuffixMatch{SuffixMatch: s}
	case 5:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_ContainsMatch{ContainsMatch: s}
	case 6:
	default:
		h.HeaderMatchSpecifier = &routev3.HeaderMatcher_StringMatch{StringMatch: d.text()}
	}
	return h
}

// rewriteHost has one route that rewrites or redirects.
func (d dice) rewriteHost() *routev3.VirtualHost {
	r := &routev3.Route{Match: d.routeMatch()}
	r.Match.Headers, r.Match.RuntimeFraction = nil, nil
	if d.IntN(2) == 0 {
		r.Action = &routev3.Route_Route{Route: d.rewriteAction()}
	} else {
		r.Action = &routev3.Route_Redirect{Redirect: d.redirectAction()}
	}
	return &routev3.VirtualHost{Routes: []*routev3.Route{r}}
}

func (d dice) substitution() *matcherv3.RegexMatchAndSubstitute {
	return &matcherv3.RegexMatchAndSubstitute{
		Pattern:      d.regex("a", "/(a|b)", "^/(.*)/(.*)$", "b*", "(A)(x)?", "[a-z]+", "$", "^", "x*"),
		Substitution: d.oneOf("", "/z", `\0`, `/\0\0`, "-", "$1"),
	}
}

func (d dice) rewriteAction() *routev3.RouteAction {
	a := &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "c"}}
	if d.IntN(2) == 0 {
		a.PrefixRewrite = d.oneOf("/", "/z", "/z/", "/zz/y")
	} else {
		a.RegexRewrite = d.substitution()
		a.RegexRewrite.Substitution = d.oneOf("", "/z", `/\0\0`) // the echo wants a path
	}
	switch d.IntN(4) {
	case 0:
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteLiteral{HostRewriteLiteral: "lit"}
	case 1:
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewriteHeader{HostRewriteHeader: "y"}
	case 2:
		a.HostRewriteSpecifier = &routev3.RouteAction_HostRewritePathRegex{HostRewritePathRegex: &matcherv3.RegexMatchAndSubstitute{
			Pattern: d.regex("[^ab]", "^/(.*)$", "/"), Substitution: d.oneOf("", "h", "h-"),
		}}
	}
	return a
}

func (d dice) redirectAction() *routev3.RedirectAction {
	a := &routev3.RedirectAction{
		StripQuery:   d.IntN(3) == 0,
		ResponseCode: routev3.RedirectAction_RedirectResponseCode(d.IntN(5)),
		HostRedirect: d.oneOf("", "", "new", "new:99"),
		PortRedirect: []uint32{0, 0, 80, 443, 8080}[d.IntN(5)],
	}
	switch d.IntN(4) {
	case 0:
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_HttpsRedirect{HttpsRedirect: d.IntN(3) > 0}
	case 1:
		a.SchemeRewriteSpecifier = &routev3.RedirectAction_SchemeRedirect{SchemeRedirect: d.oneOf("http", "https", "ws")}
	}
	switch d.IntN(4) {
	case 0:
		a.PathRewriteSpecifier = &routev3.RedirectAction_PathRedirect{PathRedirect: d.oneOf("/p", "/p?own", "/p#f", "/p?", "p", "p?o")}
	case 1:
		a.PathRewriteSpecifier = &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: d.oneOf("/", "/z", "/z/", "", "z")}
	case 2:
		a.PathRewriteSpecifier = &routev3.RedirectAction_RegexRewrite{RegexRewrite: d.substitution()}
	}
	return a
}

// domain is a label or two.
func (d dice) domain(or string) string { return d.oneOf("a", "b", "ab", "A", "a-b", "a.b", or) }

// domainHosts have domains of every kind that overlap.
func (d dice) domainHosts() []*routev3.VirtualHost {
	var out []*routev3.VirtualHost
	used := map[string]bool{}
	for i := range 40 {
		dom := d.oneOf("*."+d.domain("a"), "*-"+d.domain("b"), d.domain("a")+".*", d.domain("b")+"-*", d.domain("a")+"."+d.domain("b"))
		if used[strings.ToLower(dom)] {
			continue
		}
		used[strings.ToLower(dom)] = true
		v := &routev3.VirtualHost{
			Name: "domain " + strconv.Itoa(i), Domains: []string{dom},
			Routes: []*routev3.Route{{Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{}}}},
		}
		answerDirectly(v)
		out = append(out, v)
	}
	return out
}
