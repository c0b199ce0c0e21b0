package route

import (
	"fmt"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
)

// lint records a remark about a route.
func (d *decoder) lint(rt *Route, field, format string, args ...any) {
	path := fielderr.Index("virtual_hosts", rt.VirtualHost.Index) + "." + fielderr.Index("routes", rt.Index)
	d.t.Lints = append(d.t.Lints, fielderr.Join(path, field)+": "+fmt.Sprintf(format, args...))
}

// lintTimeouts remarks on timeouts that can never fire.
func (d *decoder) lintTimeouts(rt *Route, a *routev3.RouteAction) {
	f := rt.Forward
	if f.Timeouts.OfStream && a.Timeout.AsDuration() > 0 {
		d.lint(rt, "route.timeout", "%v has no effect beside max_stream_duration, as in Envoy", a.Timeout.AsDuration())
	}
	if f.Timeouts.OfStream && f.Timeouts.MaxGrpcSet {
		d.lint(rt, "route.max_grpc_timeout", "has no effect beside max_stream_duration, as in Envoy (use max_stream_duration.grpc_timeout_header_max)")
	}
	if f.Retry == nil {
		return
	}
	if f.Retry.PerTry > 0 && f.Timeouts.Route > 0 && f.Retry.PerTry >= f.Timeouts.Route {
		d.lint(rt, "route.retry_policy.per_try_timeout", "%v is not less than the route's timeout %v: it never fires, and what it would retry is not",
			f.Retry.PerTry, f.Timeouts.Route)
	}
	for tok := range strings.SplitSeq(a.RetryPolicy.GetRetryOn(), ",") {
		if strings.TrimSpace(tok) == "canceled" {
			d.lint(rt, "route.retry_policy.retry_on", "canceled is taken for cancelled here; Envoy ignores it")
		}
	}
	if f.Retry.On == 0 {
		d.lint(rt, "route.retry_policy.retry_on", "empty: nothing is retried but what the request's own headers ask for")
	}
	if f.Retry.On&OnRetriableStatusCodes != 0 && len(f.Retry.StatusCodes) == 0 {
		d.lint(rt, "route.retry_policy.retriable_status_codes", "empty, though retry_on has retriable-status-codes")
	}
	if f.Retry.On&OnRetriableHeaders != 0 && len(f.Retry.Headers) == 0 {
		d.lint(rt, "route.retry_policy.retriable_headers", "empty, though retry_on has retriable-headers")
	}
}

// lintDomain remarks on a domain that no host is compared with.
func (d *decoder) lintDomain(i int, domain string) {
	if d.t.IgnorePort && len(StripPort([]byte(domain))) < len(domain) {
		d.t.Lints = append(d.t.Lints, fmt.Sprintf("%s.%s: %q has a port, which ignore_port_in_host_matching takes off every host",
			fielderr.Index("virtual_hosts", d.vhost.Index), fielderr.Index("domains", i), domain))
	}
}

// lintUnreachable remarks on routes whose path no request has, or whose requests
// an earlier route without other criteria always takes.
func (d *decoder) lintUnreachable() {
	vh := d.vhost
	for i, rt := range vh.Routes {
		if rt.criteria.kind == pathConnect {
			continue
		}
		if c := &rt.criteria; c.kind != pathRegex && c.text != "" {
			switch {
			case strings.ContainsAny(c.text, "?#"):
				d.lint(rt, "match", "never reached: %q has a query, and paths are looked at without theirs (use query_parameters)", c.text)
				continue
			case c.text[0] != '/' && c.text != "*":
				d.lint(rt, "match", "never reached: %q does not begin with a slash, as every path does", c.text)
				continue
			}
		}
		if by := vh.index.shadow(vh.Routes, &rt.criteria, i); by < i {
			d.lint(rt, "match", "never reached: route %d takes every request whose path %s", by, vh.Routes[by].criteria.describe())
		}
	}
}

// shadow gives the first route before at that matches whatever c matches, or at.
// It walks along the path that every match of c begins with.
func (x *index) shadow(routes []*Route, c *criteria, at int) int {
	best := at
	take := func(l []int32) {
		for _, i := range l {
			if int(i) >= best {
				return
			}
			if routes[i].criteria.bare {
				best = int(i)
			}
		}
	}
	walk := func(n *node, text string, whole, exact bool) {
		for n != nil {
			take(n.prefix)
			if text == "" {
				if whole {
					take(n.separated)
				}
				if exact {
					take(n.exact)
				}
				return
			}
			if text[0] == '/' {
				take(n.separated)
			}
			n = n.child(text[0])
			if n == nil || len(text) < len(n.label) || text[:len(n.label)] != n.label {
				return
			}
			text = text[len(n.label):]
		}
	}
	text, exact := c.text, c.kind == pathExact
	if c.kind == pathRegex {
		if text, exact = c.re.Literal(); !exact {
			text = c.re.Prefix()
		}
	}
	whole := exact || c.kind == pathSeparated // what it matches ends, or goes on with a slash
	walk(x.fold, match.LowerString(text), whole, exact)
	if c.fold {
		// A case-sensitive route takes all of them only up to the first letter.
		end := 0
		for end < len(text) && (text[end] < 'a' || text[end] > 'z') {
			end++
		}
		if end < len(text) {
			text, whole, exact = text[:end], false, false
		}
	}
	walk(x.tree, text, whole, exact)
	if exact {
		take(x.exact[text])
	}
	return best
}
