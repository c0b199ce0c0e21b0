// Package storm holds the data plane and the client of the control plane to what they promise under pushes that do not stop: over a
// real control plane and real sockets, no request is lost or goes where it must not, nothing leaks, and what did not change is not
// touched.
package storm

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/test/rig"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
)

var pushes = flag.Int("pushes", 120, "how many pushes each storm has")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a control plane, its client and the data plane.
type world struct {
	t     *testing.T
	srv   *server.Server
	proxy *proxy.Proxy
	store *stats.Store
	xds   *xds.Client

	mu      sync.Mutex
	refused []string
}

func newWorld(t *testing.T, delta bool, drain time.Duration) *world {
	t.Helper()
	w := &world{t: t, store: stats.NewStore()}
	var err error
	w.srv, err = server.New("", server.Options{OnAnswer: func(a server.Answer) {
		if a.Err != "" {
			w.mu.Lock()
			w.refused = append(w.refused, a.Err)
			w.mu.Unlock()
		}
	}})
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.background(func(ctx context.Context) { _ = w.srv.Serve(ctx, l) })
	w.proxy, err = proxy.New(proxy.Options{Log: zap.NewNop(), Stats: w.store, DrainTime: drain, Gradual: true, Workers: 1})
	w.must(err)
	w.background(func(ctx context.Context) { _ = w.proxy.Run(ctx) })
	dec := &config.Decoder{Registry: rig.Registry(), Mode: support.Reject}
	w.xds = xds.New(xds.Options{
		Node: &corev3.Node{Id: "storm"}, ADS: &xds.ADS{Services: xds.Servers(l.Addr().String()), Delta: delta},
		Decode: func(url string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(url, a, false) },
		Apply:  w.proxy.Apply, RetryBase: time.Millisecond,
	})
	w.background(func(ctx context.Context) { _ = w.xds.Run(ctx) })
	return w
}

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

// push serves resources, in YAML, and waits until the routes of them are in force.
func (w *world) push(text string) {
	w.t.Helper()
	rs, err := yamlproto.UnmarshalResources([]byte(rig.Expand(text)), yamlproto.Options{File: "push.yaml"})
	w.must(err)
	ms := make([]proto.Message, len(rs))
	for i, r := range rs {
		ms[i], err = r.Any.UnmarshalNew()
		w.must(err)
	}
	w.must(w.srv.SetResources(ms...))
	w.until("the push is in force", func() bool { return w.inForce(ms) })
}

// inForce tells whether the data plane has all of a push, byte by byte.
func (w *world) inForce(ms []proto.Message) bool {
	s, n := w.proxy.Snapshot(), 0
	for _, m := range s.All() {
		n += len(m)
	}
	if n != len(ms) {
		return false
	}
	have := map[string]bool{}
	for _, m := range s.All() {
		for _, r := range m {
			have[r.Raw.GetTypeUrl()+string(r.Raw.GetValue())] = true
		}
	}
	for _, m := range ms {
		a, err := anypb.New(m)
		w.must(err)
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		w.must(err)
		if !have[a.GetTypeUrl()+string(b)] {
			return false
		}
	}
	return true
}

// until waits for a condition.
func (w *world) until(what string, ok func() bool) {
	w.t.Helper()
	tick := time.NewTicker(200 * time.Microsecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	st := w.xds.Status()
	w.t.Fatalf("waited in vain until %s; warming %+v, apply error %q, refused %q", what, st.Warming, st.ApplyErr, w.refusals())
}

func (w *world) refusals() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

func (w *world) stat(name string) int64 {
	v, _ := w.store.Value(name)
	return v
}

// freePort gives a port that nothing listens on.
func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// named is an origin that answers with its name.
func named(t *testing.T, name string) (host string, port string) {
	addr := rig.Origin(t, func(rw http.ResponseWriter, _ *http.Request) { fmt.Fprint(rw, name) })
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return host, port
}

// files counts the descriptors that are open.
func files(t *testing.T) int {
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(all)
}

// inline is a PEM file as a YAML string.
func inline(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("{inline_string: %q}", b)
}
