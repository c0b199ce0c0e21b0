package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a running Proxy and what it was given.
type rig struct {
	t     *testing.T
	p     *proxy.Proxy
	store *stats.Store
	dec   *config.Decoder
	seen  map[string]*config.Resource // by text: the same text is the same resource
	n     uint64
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, store: stats.NewStore(), seen: map[string]*config.Resource{}}
	r.dec = &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade}
	var err error
	if r.p, err = proxy.New(proxy.Options{Log: zap.NewNop(), Stats: r.store, DrainTime: 5 * time.Second}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

// snapshot makes one of resources written in YAML.
func (r *rig) snapshot(texts ...string) *config.Snapshot {
	r.t.Helper()
	r.n++
	s := &config.Snapshot{
		Version: r.n, Listeners: map[string]*config.Resource{}, Routes: map[string]*config.Resource{},
		Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{},
	}
	for _, text := range texts {
		res := r.seen[text]
		if res == nil {
			rs, err := yamlproto.UnmarshalResources([]byte(text), yamlproto.Options{File: "test"})
			if err != nil {
				r.t.Fatal(err)
			}
			if res, err = r.dec.Decode(rs[0].Any.TypeUrl, rs[0].Any, false); err != nil {
				r.t.Fatal(err)
			}
			r.seen[text] = res
		}
		switch raw := res.Raw; raw.TypeUrl {
		case config.ListenerURL:
			s.Listeners[res.Name] = res
		case config.RouteURL:
			s.Routes[res.Name] = res
		case config.ClusterURL:
			s.Clusters[res.Name] = res
		}
	}
	return s
}

func (r *rig) apply(texts ...string) {
	r.t.Helper()
	if err := r.p.Apply(r.snapshot(texts...)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) addr(name string) string {
	r.t.Helper()
	for _, l := range r.p.Listeners() {
		if l.Name == name {
			return l.Addresses[0].String()
		}
	}
	r.t.Fatalf("no listener %s", name)
	return ""
}

const listenerText = `
"@type": type.googleapis.com/envoy.config.listener.v3.Listener
name: NAME
address: {socket_address: {address: 127.0.0.1, port_value: PORT}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: PREFIX
      rds: {route_config_name: r, config_source: {ads: {}, resource_api_version: V3}}
      http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
`

func listenerOn(name, port, prefix string) string {
	return strings.NewReplacer("NAME", name, "PORT", port, "PREFIX", prefix).Replace(listenerText)
}

func routeTo(cluster string) string {
	return fmt.Sprintf(`
"@type": type.googleapis.com/envoy.config.route.v3.RouteConfiguration
name: r
virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: %s}}]}]
`, cluster)
}

func clusterAt(name, addr string) string {
	host, port, _ := net.SplitHostPort(addr)
	return fmt.Sprintf(`
"@type": type.googleapis.com/envoy.config.cluster.v3.Cluster
name: %s
type: STATIC
load_assignment: {cluster_name: %s, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: %s, port_value: %s}}}}]}]}
`, name, name, host, port)
}

func origin(t *testing.T, says string) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, says) })}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }()
	t.Cleanup(func() { s.Close(); <-done })
	return ln.Addr().String()
}

// get asks over a client's kept connection.
func get(t *testing.T, c *http.Client, addr string) string {
	t.Helper()
	resp, err := c.Get("http://" + addr + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 {
		return resp.Status
	}
	return string(b)
}

// until waits for a condition.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited 10 s until %s", what)
		}
	}
}

func keepAlive(t *testing.T) *http.Client {
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestSnapshotsChangeWhatTheyChange(t *testing.T) {
	r := newRig(t)
	a, b := clusterAt("a", origin(t, "a")), clusterAt("b", origin(t, "b"))
	in := listenerOn("in", "0", "x")
	r.apply(in, routeTo("a"), a, b)
	addr, c := r.addr("in"), keepAlive(t)
	if got := get(t, c, addr); got != "a" {
		t.Fatal(got)
	}
	// A route table is swapped under the connection that is open.
	r.apply(in, routeTo("b"), a, b)
	if got := get(t, c, addr); got != "b" {
		t.Error(got)
	}
	// A cluster goes when the route that named it has gone.
	r.apply(in, routeTo("a"), a)
	if got := get(t, c, addr); got != "a" {
		t.Error(got)
	}
	until(t, "cluster b is gone", func() bool { _, ok := r.p.Clusters().Get("b"); return !ok })
	value := func(name string) uint64 {
		v, _ := r.store.Value(name)
		return uint64(v)
	}
	if got := value("http.x.downstream_cx_total"); got != 1 {
		t.Errorf("%d connections for three requests", got)
	}
	// Changed in place: the sockets stay, the old chain's connections drain.
	r.apply(listenerOn("in", "0", "y"), routeTo("a"), a)
	if now := r.addr("in"); now != addr {
		t.Errorf("the address went from %s to %s", addr, now)
	}
	if got := get(t, keepAlive(t), addr); got != "a" {
		t.Error(got)
	}
	if n := value("listener_manager.listener_in_place_updated"); n != 1 {
		t.Errorf("%d updates in place", n)
	}
	// Without its table a request finds no route.
	r.apply(listenerOn("in", "0", "y"), a)
	if got := get(t, keepAlive(t), addr); got != "404 Not Found" {
		t.Error(got)
	}
	// A removed listener accepts no more.
	r.apply(a)
	if c, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		c.Close()
		t.Error("a removed listener still accepts")
	}
}

func TestWhatCannotBeAppliedLeavesTheRest(t *testing.T) {
	r := newRig(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	a := clusterAt("a", origin(t, "a"))
	err = r.p.Apply(r.snapshot(listenerOn("bad", port, "x"), listenerOn("good", "0", "x"), routeTo("a"), a))
	if err == nil || !strings.Contains(err.Error(), `listener "bad": listen on 127.0.0.1:`+port) {
		t.Errorf("got %v", err)
	}
	if got := get(t, keepAlive(t), r.addr("good")); got != "a" {
		t.Error(got)
	}
	// Two listeners on one address: the second is refused by name.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(free.Addr().String())
	free.Close()
	err = r.p.Apply(r.snapshot(listenerOn("one", port, "x"), listenerOn("two", port, "x"), routeTo("a"), a))
	if err == nil || !strings.Contains(err.Error(), `listener "two": address: listener "one" has the same`) {
		t.Errorf("got %v", err)
	}
}

func TestSocketsWithoutReusePortAreReplaced(t *testing.T) {
	r := newRig(t)
	a := clusterAt("a", origin(t, "a"))
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	in := listenerOn("in", port, "x") + "enable_reuse_port: false\n"
	r.apply(in, routeTo("a"), a)
	r.apply(in+"tcp_backlog_size: 77\n", routeTo("a"), a)
	if got := get(t, keepAlive(t), r.addr("in")); got != "a" {
		t.Error(got)
	}
}

func TestDrainEndsIdleConnectionsAndWaits(t *testing.T) {
	r := newRig(t)
	a := clusterAt("a", origin(t, "a"))
	r.apply(listenerOn("in", "0", "x"), routeTo("a"), a)
	addr, c := r.addr("in"), keepAlive(t)
	get(t, c, addr)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r.p.Drain(ctx)
	if ctx.Err() != nil {
		t.Error("draining an idle connection took 10 s")
	}
	for _, l := range r.p.Listeners() {
		if l.Active != 0 {
			t.Errorf("%d connections left", l.Active)
		}
	}
	if _, err := net.DialTimeout("tcp", addr, time.Second); err == nil {
		t.Error("still accepts")
	}
	// What comes while draining does not accept.
	r.apply(listenerOn("in", "0", "x"), listenerOn("late", "0", "x"), routeTo("a"), a)
	if _, err := net.DialTimeout("tcp", r.addr("late"), time.Second); err == nil {
		t.Error("a listener that came late accepts")
	}
}

func TestNothingIsAppliedAfterTheEnd(t *testing.T) {
	p, err := proxy.New(proxy.Options{Log: zap.NewNop(), Stats: stats.NewStore()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	if err := p.Apply(&config.Snapshot{}); err == nil {
		t.Error("applied")
	}
	if err := p.Run(ctx); err == nil {
		t.Error("ran twice")
	}
}
