package route

import (
	"bytes"
	"slices"
	"strconv"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// A Table is a compiled RouteConfiguration. It is immutable and shared by every
// stream.
type Table struct {
	Name         string
	VirtualHosts []*VirtualHost

	InternalOnlyHeaders []header.Name // removed from requests of external clients
	MostSpecificWins    bool          // most_specific_header_mutations_wins: turns the order of mutations round
	IgnorePort          bool          // ignore_port_in_host_matching

	// Whether every cluster of Clusters has to be known (validate_clusters). When
	// it is not set, Envoy checks static tables and not those of RDS.
	ValidateClusters, ValidateClustersSet bool

	// Lints are remarks on what is valid and hardly meant, each with its path.
	Lints []string

	// Discovers says that virtual hosts come by themselves too (vhds).
	Discovers bool
	From      extension.Source // where from

	request, response *Mutations // of the table itself, for virtual hosts that come later
	filters           []FilterConfig

	exact          map[string]*VirtualHost // by lower-case domain
	suffix, prefix wildcards
	any            *VirtualHost // domain "*"
}

// A VirtualHost is a compiled group of domains with its routes. It is immutable.
type VirtualHost struct {
	*HostSettings
	Routes []*Route // in the order of the configuration, which decides

	index index
	toTLS *Route // what require_tls answers with
}

// HostSettings are what a virtual host is but for its routes. They are immutable: a
// version of the host that differs in routes only has the same, and so have the
// routes that are in both.
type HostSettings struct {
	Name    string
	Index   int // place in Table.VirtualHosts
	Domains []string

	RequireTLS                    TLSRequirement
	IncludeRequestAttemptCount    bool // sends x-envoy-attempt-count upstream
	IncludeAttemptCountInResponse bool // and downstream
}

// String gives the name: whoever prints a route, which points back to its virtual
// host, prints no more of it.
func (h *HostSettings) String() string { return h.Name }

// TLSRequirement is require_tls.
type TLSRequirement uint8

// The values of require_tls.
const (
	TLSNone         TLSRequirement = iota
	TLSExternalOnly                // requests without x-envoy-internal: true must use TLS
	TLSAll
)

// Clusters lists the clusters that the table names, in order of appearance and
// each once. Those that a request header names are not among them.
func (t *Table) Clusters() (out []string) {
	seen := map[string]bool{"": true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			out = append(out, name)
		}
	}
	for _, vh := range t.VirtualHosts {
		for _, rt := range vh.Routes {
			f := rt.Forward
			if f == nil {
				continue
			}
			add(f.Cluster)
			if f.Weighted != nil {
				for i := range f.Weighted.Clusters {
					add(f.Weighted.Clusters[i].Name)
				}
			}
		}
	}
	return out
}

// Match finds the route of a request, nil when there is none: first the virtual
// host by the authority, then its first route all of whose criteria match.
//
// It does not change the request but for the scratch memory in it, draws only
// from r.Rand, and allocates nothing while tr is nil. With a trace the answer is
// the same and the trace says why the others lost.
func (t *Table) Match(r *Request, tr *match.Trace) *Route {
	vh := t.Host(r, tr)
	if vh == nil {
		return nil
	}
	if vh.needsTLS(r) {
		if tr != nil {
			tr.Note(true, "require_tls", "the request did not come over TLS: redirected")
		}
		return vh.toTLS
	}
	if tr != nil || len(r.Path) == 0 { // CONNECT is rare
		return vh.linear(r, tr)
	}
	path, _ := match.SplitPath(r.Path)
	if i := vh.index.first(vh.Routes, path, r); i < len(vh.Routes) {
		return vh.Routes[i]
	}
	return nil
}

// linear asks the routes one after the other, as the order of the configuration
// means it. Match without a trace gives the same answer faster.
func (vh *VirtualHost) linear(r *Request, tr *match.Trace) *Route {
	path, _ := match.SplitPath(r.Path)
	for i, rt := range vh.Routes {
		subject := ""
		var own match.Trace
		sub := (*match.Trace)(nil)
		if tr != nil {
			subject, sub = "route "+strconv.Itoa(i), &own
			if rt.Name != "" {
				subject += " " + strconv.Quote(rt.Name)
			}
		}
		ok := rt.criteria.matchPath(path, sub) && rt.criteria.matchRest(r, sub)
		if tr != nil {
			why := "no criteria"
			if n := len(own.Steps); n > 0 {
				last := own.Steps[n-1] // the one that failed, or the last that held
				why = last.Subject + " " + last.Why
			}
			tr.Note(ok, subject, "%s", why)
		}
		if ok {
			return rt
		}
	}
	return nil
}

// needsTLS tells whether require_tls turns the request away. What counts is the
// scheme the client used, which x-forwarded-proto knows best.
func (vh *VirtualHost) needsTLS(r *Request) bool {
	switch vh.RequireTLS {
	case TLSNone:
		return false
	case TLSExternalOnly:
		if string(r.Headers.Value(envoyInternal)) == "true" {
			return false
		}
	}
	if p, ok := r.Headers.Get(header.XForwardedProto); ok {
		return string(p) != "https"
	}
	return !r.TLS
}

var envoyInternal = header.Intern("x-envoy-internal")

// Host finds the virtual host of a request's authority: the exact domain, then
// the longest suffix wildcard, the longest prefix wildcard, then "*" (Envoy:
// VirtualHost.domains). nil when none has it.
func (t *Table) Host(r *Request, tr *match.Trace) *VirtualHost {
	host := r.Authority
	if t.IgnorePort {
		host = StripPort(host)
	}
	host = r.lowerHost(host)
	vh, how := t.find(host)
	if tr != nil {
		if vh == nil {
			tr.Note(false, "virtual host", "no domain has %q", string(host))
		} else {
			tr.Note(true, "virtual host "+strconv.Quote(vh.Name), "%q is %s", string(host), how)
		}
	}
	return vh
}

func (t *Table) find(host []byte) (*VirtualHost, string) {
	if vh := t.exact[string(host)]; vh != nil {
		return vh, "one of its domains"
	}
	for _, n := range t.suffix.lens {
		if n < len(host) {
			if vh := t.suffix.m[string(host[len(host)-n:])]; vh != nil {
				return vh, "in its longest suffix wildcard"
			}
		}
	}
	for _, n := range t.prefix.lens {
		if n < len(host) {
			if vh := t.prefix.m[string(host[:n])]; vh != nil {
				return vh, "in its longest prefix wildcard"
			}
		}
	}
	return t.any, `in its domain "*"`
}

// lowerHost gives the host in lower case, in the request's scratch when it has
// to be written.
func (r *Request) lowerHost(host []byte) []byte {
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			low := append(r.host[:0], host...)
			for ; i < len(host); i++ {
				low[i] = match.Lower(host[i])
			}
			return low
		}
	}
	return host
}

// StripPort drops what follows the last colon of an authority, unless that is
// inside the brackets of an IPv6 address (Envoy: getPortStart).
func StripPort(host []byte) []byte {
	i := bytes.LastIndexByte(host, ':')
	if i < 0 || bytes.IndexByte(host[i:], ']') >= 0 {
		return host
	}
	return host[:i]
}

// wildcards are domains with a "*" at one end, by the rest.
type wildcards struct {
	m    map[string]*VirtualHost
	lens []int // lengths in use, longest first
}

func (w *wildcards) add(rest string, vh *VirtualHost) (dup *VirtualHost) {
	if o := w.m[rest]; o != nil {
		return o
	}
	if w.m == nil {
		w.m = map[string]*VirtualHost{}
	}
	w.m[rest] = vh
	if !slices.Contains(w.lens, len(rest)) {
		w.lens = append(w.lens, len(rest))
		slices.SortFunc(w.lens, func(a, b int) int { return b - a })
	}
	return nil
}
