package listener_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	model "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/listener/httpinspector"
	"github.com/weirproxy/weir/filters/listener/originaldst"
	"github.com/weirproxy/weir/filters/listener/originalsrc"
	"github.com/weirproxy/weir/filters/listener/proxyprotocol"
	"github.com/weirproxy/weir/filters/listener/tlsinspector"
	"github.com/weirproxy/weir/filters/network/tcpproxy"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/listener"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/lb"
	"github.com/weirproxy/weir/test/netns"
)

func TestMain(m *testing.M) {
	_ = netns.Enter() // what needs namespaces says why it is skipped
	goleak.VerifyTestMain(m)
}

// registry has the real filters, a terminal filter that tells the chain it is in,
// and an access logger that keeps what it is given.
func registry(logged *logs) *extension.Registry {
	said := filters.NewNetwork("test.say", func(m *wrapperspb.StringValue, _ *extension.Context) (string, error) { return m.GetValue(), nil },
		func(s string, bc *filters.BuildContext) (any, error) { return say{s, bc.Closing}, nil }, filters.Terminating())
	logger := filters.NewAccessLogger("test.log", func(*wrapperspb.BytesValue, *extension.Context) (int, error) { return 0, nil },
		func(int, *filters.BuildContext) (any, error) { return logged, nil })
	return extension.NewRegistry([]*extension.Factory{
		tlsinspector.Factory(), httpinspector.Factory(), originaldst.Factory(), originalsrc.Factory(), proxyprotocol.Factory(),
		tcpproxy.Factory(), said, logger,
	}, lb.Policies())
}

// say writes what it was configured with and what is known of the connection, and
// then waits for the client to end it. "panic" panics.
type say struct {
	s       string
	closing <-chan struct{}
}

func (s say) ServeConn(c *conn.Conn) error {
	if s.s == "panic" {
		panic("as configured")
	}
	i := &c.Info
	fmt.Fprintf(c, "%s chain=%q sni=%q transport=%q alpn=%q note=%q dest=%s source=%s in=%d\n",
		s.s, i.FilterChain, i.ServerName, i.Transport, i.ALPN, i.SniffNote, i.Dest, i.Source, c.In.Len())
	_, err := io.Copy(io.Discard, struct{ io.Reader }{c})
	return err
}

// logs is an access logger.
type logs struct {
	mu  sync.Mutex
	all []info.Conn
}

func (l *logs) Log(c *conn.Conn, _ *stream.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c.Info)
}

func (l *logs) last() (info.Conn, int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == 0 {
		return info.Conn{}, 0
	}
	return l.all[len(l.all)-1], len(l.all)
}

// rig is a listener over live clusters.
type rig struct {
	t     testing.TB
	reg   *extension.Registry
	logs  *logs
	store *stats.Store
	log   *observer.ObservedLogs
	o     listener.Options
	up    *upstream.Manager
}

// newRig has clusters of the given addresses by name; "original" stands for one of
// type ORIGINAL_DST.
func newRig(t testing.TB, clusters map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, logs: &logs{}, store: stats.NewStore()}
	r.reg = registry(r.logs)
	core, seen := observer.New(zap.DebugLevel)
	r.log = seen
	root := r.store.Scope("")
	r.up = upstream.NewManager(upstream.Options{Stats: root})
	snap := &config.Snapshot{Clusters: map[string]*config.Resource{}}
	for name, addr := range clusters {
		snap.Clusters[name] = &config.Resource{Name: name, Value: r.cluster(name, addr)}
	}
	if err := r.up.Apply(snap); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.up.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	r.o = listener.Options{Log: zap.New(core), Stats: root, Context: filters.BuildContext{Log: zap.New(core), Stats: root, Clusters: r.up}}
	return r
}

func (r *rig) cluster(name, addr string) *cluster.Cluster {
	r.t.Helper()
	text := "name: " + name + "\nconnect_timeout: 2s\n"
	if addr == "original" {
		text += "type: ORIGINAL_DST\nlb_policy: CLUSTER_PROVIDED\n"
	} else {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			r.t.Fatal(err)
		}
		text += fmt.Sprintf(`type: STATIC
load_assignment:
  cluster_name: %s
  endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: "%s", port_value: %s}}}}]}]
`, name, host, port)
	}
	m := new(clusterv3.Cluster)
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		r.t.Fatal(err)
	}
	c, err := cluster.Decode(m, extension.NewContext(r.reg, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

// types are short names of the configurations that the tests write.
var types = strings.NewReplacer(
	"$loopback", "socket_address: {address: 127.0.0.1, port_value: 0}",
	"$tls_inspector", `{name: tls, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector}}`,
	"$http_inspector", `{name: http, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.http_inspector.v3.HttpInspector}}`,
	"$original_dst", `{name: dst, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst}}`,
	"$original_src", `{name: src, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.listener.original_src.v3.OriginalSrc}}`,
	"$proxy_protocol", `"@type": type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`,
	"$tcp", `"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t`,
	"$say", `"@type": type.googleapis.com/google.protobuf.StringValue, value`,
	"$log", `{name: log, typed_config: {"@type": type.googleapis.com/google.protobuf.BytesValue, value: ""}}`,
)

func (r *rig) model(text string) *model.Listener {
	r.t.Helper()
	m := new(listenerv3.Listener)
	if _, err := yamlproto.Unmarshal([]byte(types.Replace(text)), m, yamlproto.Options{}); err != nil {
		r.t.Fatal(err)
	}
	l, err := model.Decode(m, extension.NewContext(r.reg, m.GetName()))
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

// running is a listener under Run.
type running struct {
	*listener.Listener
	r    *rig
	addr netip.AddrPort
	end  func() // stops it and waits
}

// run makes a listener of its configuration in YAML and runs it until the test
// ends.
func (r *rig) run(text string) *running {
	r.t.Helper()
	l, err := listener.New(r.model(text), r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	return r.runs(l)
}

func (r *rig) runs(l *listener.Listener) *running {
	x := &running{Listener: l, r: r}
	if a := l.Addresses(); len(a) > 0 {
		x.addr = a[0]
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = l.Run(ctx) }()
	x.end = func() { cancel(); <-done }
	r.t.Cleanup(x.end)
	return x
}

// dial connects to the listener.
func (x *running) dial() *net.TCPConn {
	x.r.t.Helper()
	c, err := net.DialTimeout("tcp", x.addr.String(), 5*time.Second)
	if err != nil {
		x.r.t.Fatal(err)
	}
	x.r.t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		x.r.t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// all connects and reads until the end; a connection that is reset at once may be
// so before it is connected.
func (x *running) all() ([]byte, error) {
	x.r.t.Helper()
	c, err := net.DialTimeout("tcp", x.addr.String(), 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		x.r.t.Fatal(err)
	}
	return io.ReadAll(c)
}

// ask sends bytes and gives the line that comes back.
func (x *running) ask(bytes string) string {
	x.r.t.Helper()
	c := x.dial()
	defer c.Close()
	if _, err := io.WriteString(c, bytes); err != nil {
		x.r.t.Fatal(err)
	}
	return line(x.r.t, c)
}

func line(t testing.TB, r io.Reader) string {
	t.Helper()
	var out []byte
	var b [1]byte
	for {
		if _, err := io.ReadFull(r, b[:]); err != nil {
			return string(out) + "<" + err.Error() + ">"
		}
		if b[0] == '\n' {
			return string(out)
		}
		out = append(out, b[0])
	}
}

// counter reads a statistic of the listener.
func (x *running) counter(name string) int64 {
	v, _ := x.r.store.Value("listener." + x.Config().StatPrefix + "." + name)
	return v
}

// stat reads any statistic.
func (r *rig) stat(name string) int64 {
	v, _ := r.store.Value(name)
	return v
}

// until waits for a condition, at most ten seconds.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-tick.C {
		if ok() {
			return
		}
	}
	t.Fatal("in vain waited until", what)
}

// origin is a TCP server; serve has each connection and its goroutine, and the
// connection is closed after it.
func origin(t testing.TB, serve func(*net.TCPConn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				serve(c.(*net.TCPConn))
			})
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func echo(c *net.TCPConn) {
	_, _ = io.Copy(c, struct{ io.Reader }{c})
}
