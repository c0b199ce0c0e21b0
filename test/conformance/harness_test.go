// Package conformance drives whole connection managers through real sockets with
// scripts that can be read: what the client sends, what the origin must see, what
// it answers, and what the client must get.
package conformance

import (
	"context"
	"net"
	"net/netip"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/http/router"
	nethcm "github.com/weirproxy/weir/filters/network/hcm"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/hcm"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logged is what an access logger saw of a stream.
type logged struct {
	Code    int
	Flags   info.Flags
	Details string
}

// recorder hands every finished stream on.
type recorder struct{ to chan logged }

func (r recorder) Log(_ *conn.Conn, s *stream.Stream) {
	r.to <- logged{s.Info.Code, s.Info.Flags, s.Info.Details}
}

// weir is one connection manager behind a listening socket.
type weir struct {
	addr  string
	log   chan logged
	store *stats.Store
	conns chan *conn.Conn // every accepted connection
}

// newWeir serves an HttpConnectionManager over the given clusters, both in JSON.
func newWeir(t testing.TB, hcmJSON string, clusters ...string) *weir {
	t.Helper()
	w := &weir{log: make(chan logged, 1000), store: stats.NewStore(), conns: make(chan *conn.Conn, 1000)}
	recording := filters.NewAccessLogger("test.recorder",
		func(*emptypb.Empty, *extension.Context) (recorder, error) { return recorder{w.log}, nil },
		func(r recorder, _ *filters.BuildContext) (any, error) { return r, nil })
	ctx := extension.NewContext(extension.NewRegistry([]*extension.Factory{router.Factory(), nethcm.Factory(), recording}, lb.Policies()), "test")
	m := new(hcmv3.HttpConnectionManager)
	unmarshal(t, hcmJSON, m)
	p, err := ctx.Parse(extension.NetworkFilter, "hcm", pack(t, m))
	if err != nil {
		t.Fatal(err)
	}
	cfg := p.Config.(*hcm.Config)
	l, err := ctx.Parse(extension.AccessLogger, "test.recorder", pack(t, &emptypb.Empty{}))
	if err != nil {
		t.Fatal(err)
	}
	cfg.AccessLog = append(cfg.AccessLog, core.AccessLog{Parsed: l})

	snap := &config.Snapshot{Clusters: map[string]*config.Resource{}}
	for _, j := range clusters {
		c := new(clusterv3.Cluster)
		unmarshal(t, j, c)
		v, err := cluster.Decode(c, ctx)
		if err != nil {
			t.Fatal(err)
		}
		snap.Clusters[c.Name] = &config.Resource{Name: c.Name, Value: v}
	}
	w.run(t, cfg, snap)
	return w
}

func unmarshal(t testing.TB, j string, m proto.Message) {
	t.Helper()
	if err := protojson.Unmarshal([]byte(j), m); err != nil {
		t.Fatalf("%v in %s", err, j)
	}
}

func pack(t testing.TB, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// run starts everything, and ends it with the test.
func (w *weir) run(t testing.TB, cfg *hcm.Config, snap *config.Snapshot) {
	t.Helper()
	watcher, err := netio.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	root := w.store.Scope("")
	up := upstream.NewManager(upstream.Options{Log: zap.NewNop(), Stats: root, Watcher: watcher, Tick: tick})
	if err := up.Apply(snap); err != nil {
		t.Fatal(err)
	}
	m, err := hcm.New(cfg, &filters.BuildContext{Log: zap.NewNop(), Stats: root, Clusters: up})
	if err != nil {
		t.Fatal(err)
	}
	run, cancel := context.WithCancel(t.Context())
	done := make(chan struct{}, 2)
	go func() { _ = watcher.Run(run); done <- struct{}{} }()
	go func() { _ = up.Run(run); done <- struct{}{} }()
	ln := listen(t)
	w.addr = ln.Addr().String()
	served := make(chan struct{})
	go func() { w.serve(ln, m); close(served) }()
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
}

// serve hands accepted connections to the connection manager until ln closes and
// every connection is over.
func (w *weir) serve(ln *net.TCPListener, m *hcm.Manager) {
	var open []*conn.Conn
	done := make(chan struct{})
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
		w.conns <- k
		go func() {
			_ = m.ServeConn(k)
			k.Close()
			done <- struct{}{}
		}()
	}
	for _, k := range open {
		_ = k.Reset()
	}
	for range open {
		<-done
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
