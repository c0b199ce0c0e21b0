// Package discovery proves the discovery of what requests need, in one process with the real parts: a control plane, its client, the
// data plane and the admin interface, and HTTP through them on the loopback.
package discovery

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/admin"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/lb"
	"github.com/weirproxy/weir/xds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything from the control plane to the client.
type world struct {
	t     *testing.T
	plane *plane
	lazy  *lazy // in the place of plane
	xds   *xds.Client
	proxy *proxy.Proxy
	store *stats.Store
	admin http.Handler
	http  *http.Transport

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	log     strings.Builder
}

// options change a world.
type options struct {
	deadline time.Duration // of warming
	sotw     bool          // state of the world instead of the incremental protocol
	lazy     bool          // the control plane is lazy; run begins to ask it
}

func newWorld(t *testing.T, o options) *world {
	w := &world{t: t, store: stats.NewStore(), changed: make(chan struct{}), http: &http.Transport{}}
	t.Cleanup(w.http.CloseIdleConnections)
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), logged{w}, zap.DebugLevel))
	addr := ""
	if o.lazy {
		w.lazy = newLazy(w)
		addr = w.lazy.addr
	} else {
		w.plane = newPlane(w)
		addr = w.plane.addr
	}
	var err error
	demand := xds.NewDemand()
	w.proxy, err = proxy.New(proxy.Options{Log: log, Stats: w.store, DrainTime: time.Second, Workers: 1, Discover: demand})
	w.must(err)
	w.background(func(ctx context.Context) { _ = w.proxy.Run(ctx) })
	dec := &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade}
	w.xds = xds.New(xds.Options{
		Node: &corev3.Node{Id: "gw-1"}, ADS: &xds.ADS{Services: xds.Servers(addr), Delta: !o.sotw},
		Decode: func(url string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(url, a, false) },
		Open: func(src extension.Source) (xds.Remote, error) {
			return &xds.ADS{Services: xds.Servers(w.plane.addr), Delta: src.Delta}, nil
		},
		Apply: func(s *config.Snapshot) error {
			err := w.proxy.Apply(s)
			w.note(func() {})
			return err
		},
		Logger: log, WarmingDeadline: o.deadline, RetryBase: time.Millisecond, Resolved: demand.Resolved,
	})
	demand.Serve(w.xds)
	if !o.lazy {
		w.run()
	}
	w.admin = admin.New(admin.Options{Log: log, Stats: w.store, Proxy: w.proxy, XDS: w.xds.Status}).Handler(false)
	return w
}

// run begins to ask the control plane.
func (w *world) run() { w.background(func(ctx context.Context) { _ = w.xds.Run(ctx) }) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// background runs f until the test ends.
func (w *world) background(f func(context.Context)) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); f(ctx) }()
	w.t.Cleanup(func() { cancel(); <-done })
}

func (w *world) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// logged keeps the log, and wakes wait.
type logged struct{ w *world }

func (l logged) Write(p []byte) (int, error) {
	l.w.note(func() { l.w.log.Write(p) })
	return len(p), nil
}

func (logged) Sync() error { return nil }

// wait blocks until what holds. It is asked again whenever something was logged, answered or applied.
func (w *world) wait(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(10 * time.Millisecond) // some of what is waited for comes about just after the last that is told
	defer again.Stop()
	for {
		w.mu.Lock()
		changed := w.changed
		w.mu.Unlock()
		if holds() {
			return
		}
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
			w.t.Fatalf("waited in vain for %s; log:\n%s", what, w.logs())
		}
	}
}

func (w *world) logs() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// push serves resources in the place of those before, and waits until they are applied.
func (w *world) push(ms ...proto.Message) {
	w.t.Helper()
	w.plane.set(ms...)
	w.wait("the answers", w.plane.settled)
	w.wait("the snapshot", func() bool { st := w.xds.Status(); return st.Applied == st.Snapshot })
}

// at gives a listener's address, "" while it is not there.
func (w *world) at(name string) string {
	for _, l := range w.proxy.Listeners() {
		if l.Name == name {
			return l.Addresses[0].String()
		}
	}
	return ""
}

// An answer is what a client saw.
type answer struct {
	code int
	body string
	http.Header
}

// ask sends a request to a listener: METHOD is GET, the host is a name, headers are "name: value".
func (w *world) ask(listener, host, path string, headers ...string) answer {
	w.t.Helper()
	a, err := w.try(listener, host, path, headers...)
	w.must(err)
	return a
}

func (w *world) try(listener, host, path string, headers ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(w.t.Context(), 15*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.at(listener)+path, nil)
	if err != nil {
		return answer{}, err
	}
	r.Host = host
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		r.Header.Set(k, v)
	}
	resp, err := w.http.RoundTrip(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(b), resp.Header}, err
}

// get asks the admin interface.
func (w *world) get(path string) string {
	r := httptest.NewRecorder()
	w.admin.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r.Body.String()
}

func (w *world) stat(name string) int64 {
	v, ok := w.store.Value(name)
	if !ok {
		return -1
	}
	return v
}

// origin answers with its name and the path; it is a cluster of that name.
func (w *world) origin(name string) proto.Message {
	w.t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(rw, "%s %s", name, r.URL.Path)
	}))
	w.t.Cleanup(s.Close)
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	return w.parse("envoy.config.cluster.v3.Cluster", fmt.Sprintf(`{"name":%q,"type":"STATIC","connect_timeout":"1s","load_assignment":{"cluster_name":%q,
		"endpoints":[{"lb_endpoints":[{"endpoint":{"address":{"socket_address":{"address":%q,"port_value":%s}}}}]}]}}`, name, name, host, port))
}

// parse reads a message in JSON, with $ for the prefix of Envoy's extensions.
func (w *world) parse(message, text string) proto.Message {
	w.t.Helper()
	text = strings.ReplaceAll(text, "$", "type.googleapis.com/envoy.extensions.")
	a := &anypb.Any{}
	w.must(protojson.Unmarshal([]byte(`{"@type":"type.googleapis.com/`+message+`",`+strings.TrimSpace(text)[1:]), a))
	m, err := a.UnmarshalNew()
	w.must(err)
	return m
}

// listener serves one filter chain.
func (w *world) listener(name, filters string, more ...string) proto.Message {
	w.t.Helper()
	return w.parse("envoy.config.listener.v3.Listener", fmt.Sprintf(`{"name":%q,%s"address":{"socket_address":{"address":"127.0.0.1","port_value":0}},
		"filter_chains":[{"filters":[%s]}]}`, name, strings.Join(more, ""), filters))
}

// hcm is a connection manager: its routes and the HTTP filters before the router.
func hcm(routes, filters string) string {
	if filters != "" {
		filters += ","
	}
	return `{"name":"hcm","typed_config":{"@type":"$filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":"h",` + routes +
		`,"http_filters":[` + filters + `{"name":"router","typed_config":{"@type":"$filters.http.router.v3.Router"}}]}}`
}

// hello is an inline route table that answers hello.
const hello = `"route_config":{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
	{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":"hello"}}}]}]}`
