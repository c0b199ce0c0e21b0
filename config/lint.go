package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/secret"
)

// Lint remarks on what is valid and hardly meant: clusters that nothing defines, listeners on one address, clusters without
// endpoints, keys that others may read, certificates that are not valid now, and what the route tables say of themselves. Each remark begins with the resource; they are sorted by kind and name.
func (s *Snapshot) Lint() []string {
	var l linter
	l.s = s
	for _, n := range slices.Sorted(maps.Keys(s.Secrets)) {
		l.at("secret", n, s.Secrets[n])
		if c := s.Secret(n); c != nil {
			l.secret(c)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.Clusters)) {
		l.at("cluster", n, s.Clusters[n])
		if c := s.Cluster(n); c != nil {
			l.cluster(c)
		}
	}
	at := map[listener.Address]string{}
	for _, n := range slices.Sorted(maps.Keys(s.Listeners)) {
		l.at("listener", n, s.Listeners[n])
		if d := s.Listener(n); d != nil {
			l.listener(d, at)
		}
	}
	for _, n := range slices.Sorted(maps.Keys(s.Routes)) {
		l.at("route", n, s.Routes[n])
		if t := s.Route(n); t != nil {
			l.table("", t)
		}
	}
	return l.out
}

type linter struct {
	s    *Snapshot
	r    *Resource // that is looked at
	head string
	out  []string
}

// at goes on to a resource and remarks on what it requires and does not have.
func (l *linter) at(kind, name string, r *Resource) {
	l.head, l.r = fmt.Sprintf("%s %q: ", kind, name), r
	for _, ref := range r.Refs {
		if ref.Source.Stream() != (extension.Source{}) && !ref.Source.Static {
			continue // comes from a source of its own
		}
		var have map[string]*Resource
		switch ref.TypeURL {
		case RouteURL:
			have = l.s.Routes
		case AssignmentURL:
			have = l.s.Endpoints
		case ClusterURL:
			have = l.s.Clusters
		case SecretURL:
			have = l.s.Secrets
		default:
			continue
		}
		if t, ok := TypeOf(ref.TypeURL); ok && have[ref.Name] == nil {
			l.say("", "%s %q is not there", t.Kind, ref.Name)
		}
	}
}

func (l *linter) say(path, format string, args ...any) {
	if path != "" {
		format = strings.ReplaceAll(path, "%", "%%") + ": " + format
	}
	l.out = append(l.out, l.head+fmt.Sprintf(format, args...))
}

// secret looks at the dates of a certificate and at who may read the file of its key.
func (l *linter) secret(s *secret.Secret) {
	if c := s.Certificate; c != nil {
		switch now := time.Now(); {
		case now.After(c.Leaf.NotAfter):
			l.say("tls_certificate.certificate_chain", "expired on %s", c.Leaf.NotAfter.UTC().Format(time.DateOnly))
		case now.Before(c.Leaf.NotBefore):
			l.say("tls_certificate.certificate_chain", "not valid before %s", c.Leaf.NotBefore.UTC().Format(time.DateOnly))
		}
	}
	m := &tlsv3.Secret{}
	if l.r.Raw == nil || l.r.Raw.UnmarshalTo(m) != nil {
		return
	}
	name := m.GetTlsCertificate().GetPrivateKey().GetFilename()
	if st, err := os.Stat(name); name != "" && err == nil && st.Mode().IsRegular() && st.Mode().Perm()&0o007 != 0 {
		l.say("tls_certificate.private_key.filename", "%s may be read by everybody (mode %04o)", name, st.Mode().Perm())
	}
}

func (l *linter) cluster(c *cluster.Cluster) {
	a := c.Assignment
	if c.Type == cluster.EDS {
		a = l.s.Assignment(cmp.Or(c.EDSKey, c.EDSName))
	}
	if a == nil {
		return // said by at, or has none
	}
	n := 0
	for _, loc := range a.Localities {
		n += len(loc.Endpoints)
	}
	if n == 0 {
		l.say("", "has no endpoints")
	}
}

func (l *linter) listener(d *listener.Listener, at map[listener.Address]string) {
	for _, a := range d.Addresses {
		if other, ok := at[a]; ok && d.BindToPort && a.Addr.Port() != 0 {
			l.say("address", "listener %q has %s too", other, a)
		} else if d.BindToPort {
			at[a] = d.Name
		}
	}
	chains := d.Chains
	if d.Default != nil {
		chains = append(chains[:len(chains):len(chains)], d.Default)
	}
	for _, f := range chains {
		path := "default_filter_chain"
		if f.Index >= 0 {
			path = fielderr.Index("filter_chains", f.Index)
		}
		for i, p := range f.Filters {
			l.filter(fielderr.Index(path+".filters", i), p)
		}
	}
}

// filter looks into a network filter that names clusters (tcp_proxy) or has a route table (the connection manager).
func (l *linter) filter(path string, p extension.Parsed) {
	switch c := p.Config.(type) {
	case interface{ RouteTable() *route.Table }:
		if t := c.RouteTable(); t != nil {
			l.table(path+".typed_config.route_config", t)
		}
	case interface{ Clusters() []string }:
		l.clusters(path, c.Clusters())
	}
}

func (l *linter) table(path string, t *route.Table) {
	for _, s := range t.Lints {
		l.say(path, "%s", s)
	}
	l.clusters(path, t.Clusters())
}

func (l *linter) clusters(path string, names []string) {
	for _, n := range names {
		if l.s.Clusters[n] == nil {
			l.say(path, "cluster %q is not there", n)
		}
	}
}
