package router

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a connection manager with a router over live clusters, reached through
// real sockets on loopback.
type rig struct {
	t     testing.TB
	addr  string
	up    *upstream.Manager
	store *stats.Store
	cfg   *hcm.Config
}

// newRig serves routes, a RouteConfiguration in JSON, over clusters of the given
// origins.
func newRig(t testing.TB, routes string, origins map[string]string, edit ...func(*hcm.Config, map[string]*cluster.Cluster)) *rig {
	t.Helper()
	reg := extension.NewRegistry([]*extension.Factory{Factory()}, lb.Policies())
	ctx := extension.NewContext(reg, "test")
	rc := new(routev3.RouteConfiguration)
	if err := protojson.Unmarshal([]byte(routes), rc); err != nil {
		t.Fatal(err)
	}
	table, err := route.Decode(rc, ctx)
	if err != nil {
		t.Fatal(err)
	}
	any, err := anypb.New(&routerv3.Router{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := ctx.Parse(extension.HTTPFilter, "router", any)
	if err != nil {
		t.Fatal(err)
	}
	cfg := &hcm.Config{
		StatPrefix: "test", Table: table, Filters: []extension.Parsed{p}, ServerName: "weir",
		GenerateRequestID: true, IdleTimeout: time.Hour, StreamIdle: time.Minute, DelayedClose: time.Second,
	}
	clusters := map[string]*cluster.Cluster{}
	for name, addr := range origins {
		clusters[name] = staticCluster(t, ctx, name, addr)
	}
	for _, f := range edit {
		f(cfg, clusters)
	}
	snap := &config.Snapshot{Clusters: map[string]*config.Resource{}}
	for name, c := range clusters {
		snap.Clusters[name] = &config.Resource{Name: name, Value: c}
	}
	r := &rig{t: t, store: stats.NewStore(), cfg: cfg}
	w, err := netio.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	root := r.store.Scope("")
	r.up = upstream.NewManager(upstream.Options{Log: zap.NewNop(), Stats: root, Watcher: w})
	if err := r.up.Apply(snap); err != nil {
		t.Fatal(err)
	}
	m, err := hcm.New(cfg, &filters.BuildContext{Log: zap.NewNop(), Stats: root, Clusters: r.up})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(context.Background())
	done := make(chan struct{}, 2)
	go func() { _ = w.Run(run); done <- struct{}{} }()
	go func() { _ = r.up.Run(run); done <- struct{}{} }()
	ln := listen(t)
	r.addr = ln.Addr().String()
	served := make(chan struct{})
	go func() { serve(ln, m); close(served) }()
	t.Cleanup(func() {
		ln.Close()
		<-served
		if err := r.up.Apply(&config.Snapshot{}); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
		<-done
	})
	return r
}

func staticCluster(t testing.TB, ctx *extension.Context, name, addr string) *cluster.Cluster {
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

func listen(t testing.TB) *net.TCPListener {
	t.Helper()
	ln, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve hands accepted connections to the connection manager until ln closes and
// every connection is over.
func serve(ln *net.TCPListener, m *hcm.Manager) {
	var open []*conn.Conn
	done := make(chan struct{})
	n := 0
	for {
		c, err := ln.AcceptTCP()
		if err != nil {
			break
		}
		k := conn.New(socketOf(c))
		k.Info.Source = c.RemoteAddr().(*net.TCPAddr).AddrPort()
		k.Info.Dest = c.LocalAddr().(*net.TCPAddr).AddrPort()
		c.Close()
		open = append(open, k)
		n++
		go func() {
			_ = m.ServeConn(k)
			k.Close()
			done <- struct{}{}
		}()
	}
	for _, k := range open {
		k.Close()
	}
	for range n {
		<-done
	}
}

// socketOf takes a copy of the descriptor for our own driver.
func socketOf(c *net.TCPConn) *netio.Socket {
	raw, err := c.SyscallConn()
	if err != nil {
		panic(err)
	}
	fd := -1
	if err := raw.Control(func(h uintptr) { fd, err = unix.FcntlInt(h, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		panic(err)
	}
	s, err := netio.NewSocket(fd, netip.AddrPort{}, c.RemoteAddr().(*net.TCPAddr).AddrPort())
	if err != nil {
		panic(err)
	}
	return s
}

// origin is an HTTP server of the standard library.
func origin(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	ln := listen(t)
	srv := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { _ = srv.Serve(ln); close(done) }()
	t.Cleanup(func() { srv.Close(); <-done })
	return ln.Addr().String()
}

// client gives an HTTP client with connections of its own.
func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func get(t testing.TB, c *http.Client, url string) (int, http.Header, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(b)
}

// requestReader reads requests with a Content-Length or none.
type requestReader struct{ r *bufio.Reader }

func newRequestReader(c net.Conn) *requestReader { return &requestReader{bufio.NewReader(c)} }

// next gives the length of the next request's body.
func (r *requestReader) next() (int64, error) {
	req, err := http.ReadRequest(r.r)
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, req.Body)
}
