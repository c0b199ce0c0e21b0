// Package httprig runs an HTTP connection manager, from its configuration in
// YAML, over real sockets and live clusters, for the tests of HTTP filters and
// access loggers.
package httprig

import (
	"context"
	"io"
	"net/http"
	"net/netip"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// Options are what a rig is made of.
type Options struct {
	HCM      string            // HttpConnectionManager in YAML
	Origins  map[string]string // cluster name → address
	Draining func() bool
	Loggers  func(path string) (filters.Sink, error)
}

// A Rig is a running connection manager.
type Rig struct {
	Addr  string // where it listens, on loopback
	Store *stats.Store

	t testing.TB
}

// Registry has every extension of the binary.
func Registry() *extension.Registry {
	return extension.NewRegistry(builtin.Filters(), lb.Policies())
}

// Parse reads a HttpConnectionManager as a listener's filter is read.
func Parse(hcm string) (extension.Parsed, error) {
	m := new(hcmv3.HttpConnectionManager)
	if _, err := yamlproto.Unmarshal([]byte(hcm), m, yamlproto.Options{}); err != nil {
		return extension.Parsed{}, err
	}
	a, err := anypb.New(m)
	if err != nil {
		return extension.Parsed{}, err
	}
	return extension.NewContext(Registry(), "rig").Parse(extension.NetworkFilter, "hcm", a)
}

// New starts a rig, which ends with the test.
func New(t testing.TB, o Options) *Rig {
	t.Helper()
	p, err := Parse(o.HCM)
	if err != nil {
		t.Fatal(err)
	}
	ctx := extension.NewContext(Registry(), "rig")
	snap := &config.Snapshot{Clusters: map[string]*config.Resource{}}
	for name, addr := range o.Origins {
		snap.Clusters[name] = &config.Resource{Name: name, Value: static(t, ctx, name, addr)}
	}
	r := &Rig{t: t, Store: stats.NewStore()}
	w, err := netio.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	root := r.Store.Scope("")
	up := upstream.NewManager(upstream.Options{Log: zap.NewNop(), Stats: root, Watcher: w})
	if err := up.Apply(snap); err != nil {
		t.Fatal(err)
	}
	v, err := filters.Make(p, &filters.BuildContext{
		Log: zap.NewNop(), Stats: root, Clusters: up, Draining: o.Draining, Loggers: o.Loggers,
	})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = w.Run(run); done <- struct{}{} }()
	go func() { _ = up.Run(run); done <- struct{}{} }()
	ln := listen(t)
	r.Addr = ln.Addr().String()
	served := make(chan struct{})
	go func() { serve(ln, v.(filters.TerminalFilter)); close(served) }()
	t.Cleanup(func() {
		ln.Close()
		<-served
		if err := up.Apply(&config.Snapshot{}); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
		<-done
	})
	return r
}

// static makes a cluster of one host.
func static(t testing.TB, ctx *extension.Context, name, addr string) *cluster.Cluster {
	t.Helper()
	p, ok := ctx.Registry.ByName(extension.LBPolicy, "envoy.load_balancing_policies.round_robin")
	if !ok {
		t.Fatal("no round robin")
	}
	cfg, err := p.Parse(&anypb.Any{TypeUrl: p.TypeURL}, ctx)
	if err != nil {
		t.Fatal(err)
	}
	limits := cluster.Thresholds{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, BudgetPercent: -1, MaxPools: 1 << 30}
	return &cluster.Cluster{
		Name: name, StatName: name, ConnectTimeout: time.Second, Panic: 50, Default: limits, High: limits,
		LB:   cluster.LB{Policy: extension.Parsed{Name: p.Name, Factory: p, Config: cfg}},
		HTTP: cluster.HTTPOptions{IdleTimeout: time.Hour, MaxResponseHeaderKB: 60},
		Assignment: &cluster.Assignment{Cluster: name, Overprovisioning: 140, Localities: []cluster.Locality{{
			Weight: 1, Endpoints: []cluster.Endpoint{{Addr: netip.MustParseAddrPort(addr), Weight: 1}},
		}}},
	}
}

// Stat gives a counter's or gauge's value, by full name; -1 when there is none.
func (r *Rig) Stat(name string) int64 {
	v, ok := r.Store.Value(name)
	if !ok {
		return -1
	}
	return v
}

// Await waits until a counter or gauge has a value: what ends a stream is counted
// after the client has its response.
func (r *Rig) Await(name string, want int64) {
	r.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if r.Stat(name) == want {
			return
		}
		<-tick.C
	}
	r.t.Errorf("%s is %d, wanted %d", name, r.Stat(name), want)
}

// An Answer is a response, read whole.
type Answer struct {
	Code   int
	Header http.Header
	Body   string
}

// Do sends a request: method, path, and pairs of header names and values; "Host"
// sets the host.
func (r *Rig) Do(c *http.Client, method, path string, headers ...string) Answer {
	r.t.Helper()
	req, err := http.NewRequest(method, "http://"+r.Addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Add(headers[i], headers[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(b)}
}

// Client gives an HTTP client with connections of its own.
func Client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// Origin is an HTTP server of the standard library; it gives its address.
func Origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	ln := listen(t)
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { _ = srv.Serve(ln); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String()
}
