package xds_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
)

// decode is the real decoder, with the registry of config's own tests, and a hole: a cluster with the alt_stat_name "panic" breaks it.
func decode(typeURL string, a *anypb.Any) (*config.Resource, error) {
	var c clusterv3.Cluster
	if a.UnmarshalTo(&c) == nil && c.GetAltStatName() == "panic" {
		panic("told to")
	}
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	return d.Decode(typeURL, a, false)
}

func edsCluster(name string) *clusterv3.Cluster {
	return &clusterv3.Cluster{
		Name: name, ClusterDiscoveryType: &clusterv3.Cluster_Type{Type: clusterv3.Cluster_EDS},
		EdsClusterConfig: &clusterv3.Cluster_EdsClusterConfig{EdsConfig: adsSource()},
	}
}

func badCluster(name string) *clusterv3.Cluster {
	c := edsCluster(name)
	c.ConnectTimeout = durationpb.New(-time.Second)
	return c
}

func adsSource() *corev3.ConfigSource {
	return &corev3.ConfigSource{ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}}}
}

func assignment(name string, ports ...uint32) *endpointv3.ClusterLoadAssignment {
	l := &endpointv3.LocalityLbEndpoints{}
	for _, p := range ports {
		l.LbEndpoints = append(l.LbEndpoints, &endpointv3.LbEndpoint{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: address(p)},
		}})
	}
	return &endpointv3.ClusterLoadAssignment{ClusterName: name, Endpoints: []*endpointv3.LocalityLbEndpoints{l}}
}

func address(port uint32) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: "127.0.0.1", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: port},
	}}}
}

func rdsListener(t testing.TB, name, route string) *listenerv3.Listener {
	h, err := anypb.New(&hcmv3.HttpConnectionManager{StatPrefix: name, RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{
		Rds: &hcmv3.Rds{RouteConfigName: route, ConfigSource: adsSource()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &listenerv3.Listener{Name: name, Address: address(15001), FilterChains: []*listenerv3.FilterChain{{Filters: []*listenerv3.Filter{{
		Name: "hcm", ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: h},
	}}}}}
}

func routeTo(name, cluster string) *routev3.RouteConfiguration {
	return &routev3.RouteConfiguration{Name: name, VirtualHosts: []*routev3.VirtualHost{{
		Name: "all", Domains: []string{"*"}, Routes: []*routev3.Route{{
			Match: &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}},
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{
				ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: cluster},
			}},
		}},
	}}}
}

// world is a control plane and a client of it.
type world struct {
	t       testing.TB
	addr    string
	srv     *server.Server
	stop    func() // the server
	client  *xds.Client
	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	snaps   []*config.Snapshot
	answers []server.Answer
}

func newWorld(t testing.TB) *world {
	return &world{t: t, changed: make(chan struct{})}
}

func (w *world) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait blocks until what holds, which is called again after every snapshot, answer and log line, or fails.
func (w *world) wait(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	for {
		w.mu.Lock()
		ok, changed := holds(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			st := w.client.Status()
			for _, t := range st.Types {
				w.t.Logf("%s: version %q, %d resources, last NACK %+v", t.Short, t.Version, len(t.Resources), t.NACK)
			}
			w.t.Fatalf("waited in vain for %s; sources: %+v, waiting: %+v, answers: %+v", what, st.Sources, st.Warming, w.answers)
		}
	}
}

// serve starts a control plane on the world's address, or on a new one.
func (w *world) serve(dir string, o server.Options) {
	w.t.Helper()
	if w.addr == "" {
		w.addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	w.serveOn(l, dir, o)
}

func (w *world) serveOn(l net.Listener, dir string, o server.Options) {
	w.t.Helper()
	o.OnAnswer = func(a server.Answer) { w.note(func() { w.answers = append(w.answers, a) }) }
	s, err := server.New(dir, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv = s
	w.stop = background(w.t, func(ctx context.Context) error { return s.Serve(ctx, l) })
}

// connect starts the client.
func (w *world) connect(o xds.Options) {
	o.Node = &corev3.Node{Id: "gw-1"}
	o.Decode = decode
	if o.Apply == nil {
		o.Apply = func(s *config.Snapshot) error { w.note(func() { w.snaps = append(w.snaps, s) }); return nil }
	}
	o.RetryBase = time.Millisecond
	o.Logger = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m"}), logged{w}, zap.DebugLevel))
	if len(o.Files)+len(o.Streams) == 0 && o.ADS == nil {
		o.ADS = &xds.ADS{Targets: []string{w.addr}}
	}
	w.client = xds.New(o)
	background(w.t, func(ctx context.Context) error { _ = w.client.Run(ctx); return nil })
}

// logged wakes wait when the client logs.
type logged struct{ w *world }

func (l logged) Write(p []byte) (int, error) {
	l.w.note(func() {})
	return len(p), nil
}

func (logged) Sync() error { return nil }

// background runs f until the test ends or the returned function is called.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// last gives the newest snapshot. It is called from wait.
func (w *world) last() *config.Snapshot {
	if len(w.snaps) == 0 {
		return &config.Snapshot{}
	}
	return w.snaps[len(w.snaps)-1]
}

// now is last outside of wait.
func (w *world) now() *config.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last()
}

// answered says whether the server saw an answer of a type with an error that contains text ("": an ACK) for its present version.
func (w *world) answered(typeURL, text string) bool {
	v := w.srv.Version(typeURL)
	return slices.ContainsFunc(w.answers, func(a server.Answer) bool {
		return a.TypeURL == typeURL && a.Version == v && (a.Err == "") == (text == "") && strings.Contains(a.Err, text)
	})
}

func (w *world) seen() []server.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers)
}

func (w *world) set(resources ...proto.Message) {
	w.t.Helper()
	if err := w.srv.SetResources(resources...); err != nil {
		w.t.Fatal(err)
	}
}

func TestPushIsServedAndAcknowledged(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	w.connect(xds.Options{})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	for _, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		w.wait("the ACK of "+url, func() bool { return w.answered(url, "") })
	}
	if n := w.seen()[0].Node; n != "gw-1" {
		t.Errorf("node is %q", n)
	}

	before := w.now()
	w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81), rdsListener(t, "in", "r"), routeTo("r", "b"))
	w.wait("the new route", func() bool { return w.last().Routes["r"] != before.Routes["r"] })
	after := w.now()
	if after.Clusters["b"] == nil || after.Endpoints["b"] == nil {
		t.Error("the route goes to b before b is there")
	}
	if after.Clusters["a"] != before.Clusters["a"] || after.Listeners["in"] != before.Listeners["in"] {
		t.Error("resources that did not change are not the same pointers")
	}
	if n := w.client.Stats().Type(xds.RouteType).Success.Load(); n != 2 {
		t.Errorf("RDS update_success is %d, want 2", n)
	}
	if n := w.client.Stats().Connected.Load(); n != 1 {
		t.Errorf("connected_state is %d, want 1", n)
	}
}

func TestRefusedPushIsVisible(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{AllowInconsistent: true})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })

	broken := edsCluster("c")
	broken.AltStatName = "panic"
	w.set(badCluster("a"), edsCluster("b"), broken, assignment("a", 80), assignment("b", 81))
	w.wait("the NACK", func() bool {
		return w.answered(xds.ClusterType, `cluster "a": connect_timeout: value must be greater than 0s`) &&
			w.answered(xds.ClusterType, `cluster "c": decoder panicked: told to`)
	})
	w.wait("the good one of the refused push", func() bool { return w.last().Clusters["b"] != nil })
	if w.now().Clusters["a"] == nil {
		t.Error("the refused version took the last good one along")
	}
	st := w.client.Status()
	if n := st.Types[0].NACK; n == nil || !n.Standing || !strings.Contains(n.Text, "connect_timeout") {
		t.Errorf("status shows no NACK: %+v", n)
	}

	w.set(edsCluster("a"), edsCluster("b"), assignment("a", 80), assignment("b", 81))
	w.wait("the ACK of the repair", func() bool { return w.answered(xds.ClusterType, "") })
	nacks := 0
	for _, a := range w.seen() {
		if a.Err != "" {
			nacks++
		}
	}
	if nacks != 1 {
		t.Errorf("%d NACKs for one refused version", nacks)
	}
	if r := w.client.Stats().Type(xds.ClusterType).Rejected.Load(); r != 1 {
		t.Errorf("update_rejected is %d", r)
	}
}

func TestServerRestart(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{RetryMax: 10 * time.Millisecond})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })
	before := w.now()

	w.stop()
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.note(func() { w.answers = nil })
	w.wait("the ACK on the new stream", func() bool { return w.answered(xds.ClusterType, "") && w.answered(xds.EndpointType, "") })
	if s := w.now(); s != before {
		t.Errorf("a restart with the same resources made snapshot %d after %d", s.Version, before.Version)
	}
	w.set(edsCluster("a"), assignment("a", 81))
	w.wait("what the new server changed", func() bool { return w.last() != before })
}

func TestManyResources(t *testing.T) {
	const n = 2000
	w := newWorld(t)
	w.serve("", server.Options{})
	var all []proto.Message
	for i := range n {
		name := fmt.Sprintf("cluster-%05d", i)
		all = append(all, edsCluster(name), assignment(name, 80))
	}
	w.set(all...)
	w.connect(xds.Options{})
	w.wait("every cluster", func() bool { return len(w.last().Clusters) == n && len(w.last().Endpoints) == n })
	before := w.now()
	all[1] = assignment("cluster-00000", 81)
	w.set(all...)
	w.wait("the change", func() bool { return w.last() != before })
	changed := 0
	for name, r := range w.now().Endpoints {
		if before.Endpoints[name] != r {
			changed++
		}
	}
	if changed != 1 {
		t.Errorf("%d endpoints changed, want 1", changed)
	}
}

func TestStreamsOfSingleTypes(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80), rdsListener(t, "in", "r"), routeTo("r", "a"))
	var streams []*xds.ADS
	for _, url := range []string{xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType} {
		streams = append(streams, &xds.ADS{
			Name: url, Single: true, Types: []xds.SourceType{{TypeURL: url}}, Targets: []string{w.addr}, Authority: "xds",
		})
	}
	w.connect(xds.Options{Streams: streams})
	w.wait("the listener with all it needs", func() bool {
		s := w.last()
		return s.Listeners["in"] != nil && s.Routes["r"] != nil && s.Clusters["a"] != nil && s.Endpoints["a"] != nil
	})
	if n := w.client.Stats().Connected.Load(); n != 4 {
		t.Errorf("connected_state is %d, want 4", n)
	}
	if !w.client.Status().Ready {
		t.Error("not ready")
	}
}

func TestDeadTargetIsPassedOver(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{ADS: &xds.ADS{Targets: []string{dead, w.addr}}})
	w.wait("the cluster", func() bool { return w.last().Clusters["a"] != nil })
	if f := w.client.Stats().Type(xds.ClusterType).Failure.Load(); f == 0 {
		t.Error("update_failure is 0")
	}
}

func TestDialAndUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "xds.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.serveOn(l, "", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	for name, ads := range map[string]*xds.ADS{
		"target": {Targets: []string{"unix:" + path}},
		"dial": {Dial: func(context.Context) (*grpc.ClientConn, error) {
			return grpc.NewClient("unix:"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w.note(func() { w.snaps = nil })
			w.connect(xds.Options{ADS: ads})
			w.wait("the cluster", func() bool { return w.last().Clusters["a"] != nil })
		})
	}
}

func TestApplyErrorIsVisible(t *testing.T) {
	w := newWorld(t)
	w.serve("", server.Options{})
	w.set(edsCluster("a"), assignment("a", 80))
	w.connect(xds.Options{Apply: func(s *config.Snapshot) error {
		if s.Clusters["a"] != nil {
			return errors.New("no memory left")
		}
		return nil
	}})
	w.wait("the error", func() bool {
		st := w.client.Status()
		return st.ApplyErr == "no memory left" && st.Applied == st.Snapshot
	})
}

func TestRunNeedsDecodeAndApply(t *testing.T) {
	if err := xds.New(xds.Options{}).Run(t.Context()); err == nil {
		t.Error("no error")
	}
}
