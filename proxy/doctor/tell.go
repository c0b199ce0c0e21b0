package doctor

import (
	"crypto/x509"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/tlsctx"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/xds"
)

// A Source is the data plane that tells; *proxy.Proxy is one.
type Source interface {
	Snapshot() *config.Snapshot
	Clusters() *upstream.Manager
	Listeners() []proxy.ListenerInfo
	Secrets() []proxy.SecretInfo
}

// Tell gathers what a process says of itself. It takes no lock of the data path.
func Tell(s Source, status *xds.Status, now time.Time) *Live {
	l := &Live{PID: os.Getpid()}
	snap := s.Snapshot()
	if snap == nil {
		return l
	}
	bound := map[string][]netip.AddrPort{}
	for _, i := range s.Listeners() {
		bound[i.Name] = i.Addresses
	}
	l.listeners(snap, bound)
	l.clusters(snap, s.Clusters())
	for _, i := range s.Secrets() {
		if c := i.Secret.Certificate; c != nil {
			l.cert("secret "+i.Name, c.Leaf)
		}
	}
	if status != nil {
		l.XDS = tellXDS(status, now)
	}
	l.addDegraded(snap)
	return l
}

// Read gathers what a configuration promises; clusters is a manager that it was
// applied to.
func Read(snap *config.Snapshot, clusters *upstream.Manager) *Live {
	l := &Live{Offline: true}
	l.listeners(snap, nil)
	l.clusters(snap, clusters)
	l.addDegraded(snap)
	return l
}

func (l *Live) listeners(snap *config.Snapshot, bound map[string][]netip.AddrPort) {
	for _, name := range slices.Sorted(maps.Keys(snap.Listeners)) {
		m := snap.Listener(name)
		if m == nil || !m.BindToPort {
			continue
		}
		x := LiveListener{Name: name, Transparent: m.Transparent}
		x.Addresses, x.Bound = bound[name]
		if !x.Bound {
			for _, a := range m.Addresses {
				if a.Addr.IsValid() {
					x.Addresses = append(x.Addresses, a.Addr)
				}
			}
		}
		l.Listeners = append(l.Listeners, x)
		for _, c := range append(slices.Clone(m.Chains), m.Default) {
			for _, leaf := range served(c) {
				l.cert("listener "+name, leaf)
			}
		}
	}
}

// served are the certificates that a chain has in itself; others are secrets.
func served(c *listener.FilterChain) (out []*x509.Certificate) {
	if c == nil || c.TransportSocket == nil {
		return nil
	}
	cfg, ok := c.TransportSocket.Config.(*tlsctx.ServerConfig)
	if !ok {
		return nil
	}
	for _, r := range cfg.Certificates {
		if r.Inline != nil && r.Inline.Certificate != nil {
			out = append(out, r.Inline.Certificate.Leaf)
		}
	}
	return out
}

func (l *Live) cert(of string, c *x509.Certificate) {
	if c == nil {
		return
	}
	subject := c.Subject.CommonName
	if subject == "" && len(c.DNSNames) > 0 {
		subject = c.DNSNames[0]
	}
	l.Certs = append(l.Certs, LiveCert{of, subject, c.NotBefore.UTC(), c.NotAfter.UTC()})
}

// hostsTold limits what is told of one cluster: beyond it, hosts are counted only.
const hostsTold = 50

func (l *Live) clusters(snap *config.Snapshot, m *upstream.Manager) {
	for _, c := range m.Clusters() {
		cfg := c.Config()
		x := LiveCluster{Name: c.Name(), Type: cfg.Type.String()}
		x.Names = dnsNames(cfg.Assignment)
		for _, h := range c.Hosts() {
			if h.Healthy() {
				x.Healthy++
			}
			if len(x.Hosts) < hostsTold {
				x.Hosts = append(x.Hosts, LiveHost{h.Name, h.HealthFlags(), h.CxConnectFail})
			}
		}
		l.Clusters = append(l.Clusters, x)
	}
}

// dnsNames are the names of an assignment that DNS has to know.
func dnsNames(a *cluster.Assignment) (out []string) {
	if a == nil {
		return nil
	}
	for _, l := range a.Localities {
		for _, e := range l.Endpoints {
			if e.Name != "" && !slices.Contains(out, e.Name) {
				out = append(out, e.Name)
			}
		}
	}
	return out
}

// degradedTold limits how many fields without effect are told.
const degradedTold = 20

// addDegraded tells the fields that were accepted without effect.
func (l *Live) addDegraded(snap *config.Snapshot) {
	var all []string
	for _, m := range snap.All() {
		for _, key := range slices.Sorted(maps.Keys(m)) {
			for _, d := range m[key].Degraded {
				all = append(all, fmt.Sprintf("%s: %s", m[key].Name, d))
			}
		}
	}
	if len(all) == 0 {
		return
	}
	if l.XDS == nil {
		l.XDS = &LiveXDS{Ready: true}
	}
	if n := len(all) - degradedTold; n > 0 {
		all = append(all[:degradedTold], fmt.Sprintf("and %d more", n))
	}
	l.XDS.Degraded = all
}

func tellXDS(in *xds.Status, now time.Time) *LiveXDS {
	x := &LiveXDS{Ready: in.Ready, ApplyError: in.ApplyErr}
	ago := func(t time.Time) float64 {
		if t.IsZero() || now.Before(t) {
			return 0
		}
		return float64(now.Sub(t).Milliseconds()) / 1000
	}
	for _, s := range in.Sources {
		x.Sources = append(x.Sources, LiveSource{s.Name, s.Connected, ago(s.Since), s.Err, s.Failures})
	}
	for i := range in.Types {
		t := &in.Types[i]
		if n := t.NACK; n != nil && n.Standing {
			x.NACKs = append(x.NACKs, LiveNACK{t.Short, n.Version, n.At.UTC(), n.Text})
		}
	}
	for _, w := range in.Warming {
		kind := w.TypeURL
		if t, ok := config.TypeOf(kind); ok {
			kind = t.Kind
		}
		x.Warming = append(x.Warming, LiveWarm{kind, w.Name, w.Blocker, ago(w.Since)})
	}
	if g := in.LastGood; g != nil {
		x.LastGood = &LiveGood{g.Saved.UTC(), g.Resources}
	}
	return x
}
