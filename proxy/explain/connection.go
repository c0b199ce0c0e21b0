package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// Ask answers a question.
func (w World) Ask(q Question) *Answer {
	a := &Answer{Snapshot: w.Snapshot.Version}
	l := w.listener(&q, a)
	if l == nil {
		return a
	}
	c := connection(&q, l, a)
	var tr match.Trace
	f := l.Selector.Select(c, &tr)
	a.add("filter chain", &tr)
	if f == nil {
		a.Outcome = "closed: no filter chain takes the connection"
		if chain, criterion, want, got := l.Selector.Nearest(c); criterion != "" {
			a.Outcome += fmt.Sprintf("; nearest is %s, which wants %s %s, and the connection has %s", chain, criterion, want, got)
		}
		return a
	}
	a.Chain = f.Label()
	c.FilterChain = f.Name
	if f.TransportSocket != nil && q.TLS {
		c.TLSVersion, c.NegotiatedALPN = "TLSv1.3", first(q.ALPN)
		a.note("transport", true, "transport socket "+f.TransportSocket.Name, "TLS ends here")
	} else if q.TLS {
		a.note("transport", true, "transport socket", "none: TLS is passed through as it is")
	}
	w.terminal(&q, f, c, a)
	return a
}

// listener finds who would accept the connection.
func (w World) listener(q *Question, a *Answer) *listener.Listener {
	const stage = "listener"
	take := func(name, why string) *listener.Listener {
		a.Listener = resource(w.Snapshot.Listeners[name], name)
		a.note(stage, true, "listener "+name, "%s", why)
		return w.Snapshot.Listener(name)
	}
	names := slices.Sorted(maps.Keys(w.Snapshot.Listeners))
	if q.Listener != "" {
		if w.Snapshot.Listener(q.Listener) != nil {
			return take(q.Listener, "asked for by name")
		}
		a.Outcome = fmt.Sprintf("no listener is named %q; there are %s", q.Listener, strings.Join(names, ", "))
		return nil
	}
	var any, transparent, only string
	for _, n := range names {
		l := w.Snapshot.Listener(n)
		if l == nil {
			continue
		}
		only = n
		for _, at := range l.Addresses {
			switch {
			case !at.Addr.IsValid() || !q.Destination.IsValid():
			case at.Addr == q.Destination:
				return take(n, "it listens on "+at.Addr.String())
			case at.Addr.Port() == q.Destination.Port() && at.Addr.Addr().IsUnspecified() && any == "":
				any = n
			}
		}
		if l.Transparent && transparent == "" {
			transparent = n
		}
	}
	switch {
	case any != "":
		return take(any, fmt.Sprintf("it listens on port %d of every address", q.Destination.Port()))
	case transparent != "":
		if l := w.original(transparent, q, a); l != nil {
			return l
		}
		return take(transparent, "it is transparent: intercepted connections come to it, wherever they go")
	case len(names) == 1:
		return take(only, "the only one")
	}
	a.Outcome = fmt.Sprintf("no listener is at %v, and none is transparent; there are %s", q.Destination, strings.Join(names, ", "))
	return nil
}

// original is the listener to which a transparent one hands over (use_original_dst).
func (w World) original(from string, q *Question, a *Answer) *listener.Listener {
	if !w.Snapshot.Listener(from).UseOriginalDst || !q.Destination.IsValid() {
		return nil
	}
	for _, exact := range [...]bool{true, false} {
		for _, n := range slices.Sorted(maps.Keys(w.Snapshot.Listeners)) {
			l := w.Snapshot.Listener(n)
			if l == nil || n == from {
				continue
			}
			for _, at := range l.Addresses {
				if at.Addr == q.Destination || !exact && at.Addr.Port() == q.Destination.Port() && at.Addr.Addr().IsUnspecified() {
					a.Listener = resource(w.Snapshot.Listeners[n], n)
					a.note("listener", true, "listener "+from, "use_original_dst: hands over to %s, which is at %v", n, at.Addr)
					return l
				}
			}
		}
	}
	return nil
}

// connection is what the listener filters would have found out.
func connection(q *Question, l *listener.Listener, a *Answer) *info.Conn {
	c := &info.Conn{Listener: l.Name, Source: q.Source, DirectSource: q.Source, Dest: q.Destination, Local: q.Destination, Intercepted: l.Transparent}
	has := func(name string) bool {
		return slices.ContainsFunc(l.Filters, func(f listener.ListenerFilter) bool {
			return f.Factory != nil && f.Factory.Name == name && !f.DisabledFor.Matches(c)
		})
	}
	switch {
	case q.TLS && !has("envoy.filters.listener.tls_inspector"):
		a.note("sniffing", false, "tls_inspector", "not configured, or disabled for this connection: server name and ALPN are not seen")
	case q.TLS:
		c.Transport, c.ServerName = info.TLS, []byte(strings.ToLower(q.ServerName))
		for _, p := range q.ALPN {
			c.ALPN = append(c.ALPN, []byte(p))
		}
	case q.Method != "" && has("envoy.filters.listener.http_inspector"):
		p := "http/1.1"
		if q.HTTP2 {
			p = "h2c"
		}
		c.ALPN = [][]byte{[]byte(p)}
		a.note("sniffing", true, "http_inspector", "finds %s", p)
	}
	return c
}

func first(l []string) string {
	if len(l) == 0 {
		return ""
	}
	return l[0]
}

// A tunnel is a terminal network filter that takes connections to clusters.
type tunnel interface{ Clusters() []string }

// terminal goes on with the filter that serves the connection.
func (w World) terminal(q *Question, f *listener.FilterChain, c *info.Conn, a *Answer) {
	for i := range f.Filters {
		p := &f.Filters[i]
		if i < len(f.Filters)-1 {
			a.note("network filters", true, p.Name, "comes first; it is not run here, and may refuse the connection")
			continue
		}
		a.Terminal = p.Name
		switch cfg := p.Config.(type) {
		case *hcm.Config:
			if q.Method == "" {
				a.Outcome, a.Reached = "served as HTTP; ask with a request to go on", true
				return
			}
			w.http(q, cfg, c, a)
		case tunnel:
			w.tcp(cfg.Clusters(), c, a)
		default:
			a.Outcome, a.Reached = "served by "+p.Name, true
		}
	}
	if len(f.Filters) == 0 {
		a.Outcome = "closed: the filter chain has no filters"
	}
}

// tcp goes on with a connection that is passed on as it is.
func (w World) tcp(clusters []string, c *info.Conn, a *Answer) {
	if len(clusters) != 1 {
		a.Outcome, a.Reached = "passed on as it is, to one of "+strings.Join(clusters, ", ")+" by weight", true
		for _, n := range clusters {
			a.note("cluster", true, "cluster "+n, "one of the weighted")
		}
		return
	}
	a.note("cluster", true, "cluster "+clusters[0], "the only one")
	w.cluster(clusters[0], upstream.PickInfo{Dest: c.Original()}, a)
	if a.Outcome == "" {
		a.Outcome = "passed on as it is to " + a.where()
	}
}

// cluster goes on with the choice of a host.
func (w World) cluster(name string, p upstream.PickInfo, a *Answer) {
	a.Cluster = resource(w.Snapshot.Clusters[name], name)
	if w.Clusters == nil {
		if a.Reached = w.Snapshot.Clusters[name] != nil; !a.Reached {
			a.unknown(name)
		}
		return
	}
	cl, ok := w.Clusters.Get(name)
	if !ok {
		a.unknown(name)
		return
	}
	if found := foundBy(cl.Config().Type); w.Offline && found != "" {
		a.Reached = true
		a.note("host", true, "hosts", "found by %s: not known here", found)
		return
	}
	u := cl.Usage(p.High)
	a.Limits = &Limits{u.Connections, u.MaxConnections, u.Pending, u.MaxPending, u.Requests, u.MaxRequests, u.Retries, u.MaxRetries}
	var tr match.Trace
	host, among, err := cl.Explain(&p, &tr)
	a.add("host", &tr)
	if err != nil {
		a.Outcome, a.Details = "fails: "+err.Err.Error(), err.Details
		return
	}
	a.Host, a.Hosts, a.Reached = host, among, true
	if u.Requests >= u.MaxRequests {
		a.note("host", false, "circuit breaker", "max_requests: %d of %d are under way: the request would be refused", u.Requests, u.MaxRequests)
	}
}

func (a *Answer) unknown(name string) {
	a.Outcome, a.Details = fmt.Sprintf("fails: there is no cluster %q", name), "cluster_not_found"
	a.note("cluster", false, "cluster "+name, "nobody defines it")
}

// where is the place it goes to, in words.
func (a *Answer) where() string {
	switch {
	case a.Host != "":
		return a.Host + " of cluster " + a.Cluster.Name
	case len(a.Hosts) > 0:
		return fmt.Sprintf("one of %d hosts of cluster %s", len(a.Hosts), a.Cluster.Name)
	}
	return "cluster " + a.Cluster.Name
}

// foundBy says how hosts are found that a configuration alone does not have.
func foundBy(t cluster.DiscoveryType) string {
	switch t {
	case cluster.StrictDNS, cluster.LogicalDNS:
		return "DNS"
	case cluster.EDS:
		return "EDS"
	}
	return ""
}
