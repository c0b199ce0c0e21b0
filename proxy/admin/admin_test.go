package admin

import (
	"context"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// world is a data plane with a server before it.
type world struct {
	*Server
	proxy  *proxy.Proxy
	dec    *config.Decoder
	static []*config.Resource
	addr   string // of the interface
}

// newWorld runs a bootstrap's data plane and an interface on loopback.
func newWorld(t *testing.T, yaml string, o Options) *world {
	t.Helper()
	w := &world{dec: &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade}}
	var list []bootstrap.RuntimeLayer
	if yaml != "" {
		b, err := bootstrap.Load("", yaml, bootstrap.Options{})
		if err != nil {
			t.Fatal(err)
		}
		o.Bootstrap, o.Node = b.Proto, b.Node
		list = b.Runtime
		for _, r := range append(b.Static.Clusters, b.Static.Listeners...) {
			res, err := w.dec.Decode(r.Any.TypeUrl, r.Any, true)
			if err != nil {
				t.Fatal(err)
			}
			w.static = append(w.static, res)
		}
	}
	o.Stats = stats.NewStore()
	o.Started = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.UTC)
	var err error
	if w.proxy, err = proxy.New(proxy.Options{Log: zap.NewNop(), Stats: o.Stats, Workers: 1, Layers: list}); err != nil {
		t.Fatal(err)
	}
	o.Proxy, o.Runtime = w.proxy, w.proxy.Runtime()
	w.Server = New(o)
	w.run(t, w.proxy.Run)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.addr = ln.Addr().String()
	w.run(t, func(ctx context.Context) error { return w.Serve(ctx, ln) })
	return w
}

// run runs f until the test ends, which must then end without an error.
func (w *world) run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// apply puts the static resources, and those given, in force.
func (w *world) apply(t *testing.T, more ...*config.Resource) {
	t.Helper()
	s := &config.Snapshot{
		Version: w.proxy.Snapshot().Version + 1, Listeners: map[string]*config.Resource{}, Routes: map[string]*config.Resource{},
		Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{},
	}
	for _, r := range append(w.static, more...) {
		switch name := r.Raw.MessageName(); {
		case strings.HasSuffix(config.ListenerURL, string(name)):
			s.Listeners[r.Name] = r
		case strings.HasSuffix(config.RouteURL, string(name)):
			s.Routes[r.Name] = r
		case strings.HasSuffix(config.ClusterURL, string(name)):
			s.Clusters[r.Name] = r
		default:
			s.Endpoints[r.Name] = r
		}
	}
	if err := w.proxy.Apply(s); err != nil {
		t.Fatal(err)
	}
}

// client makes one connection a request, so that none outlives a test.
func client(network, addr string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
}

// ask sends a request over loopback: "GET /ready".
func (w *world) ask(t *testing.T, what string, headers ...string) (int, http.Header, string) {
	t.Helper()
	return ask(t, client("tcp", w.addr), w.addr, what, headers...)
}

func ask(t *testing.T, c *http.Client, host, what string, headers ...string) (int, http.Header, string) {
	t.Helper()
	method, path, _ := strings.Cut(what, " ")
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+host+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(body)
}

// get is the body of a GET that must be answered with 200.
func (w *world) get(t *testing.T, path string) string {
	t.Helper()
	code, _, body := w.ask(t, "GET "+path)
	if code != http.StatusOK {
		t.Fatalf("GET %s: %d %s", path, code, body)
	}
	return body
}
