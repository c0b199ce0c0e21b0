package grpc

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	grpcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"
	alsv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
	"github.com/weirproxy/weir/proxy/upstream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 11, 4, 3, 2, 1, 0, time.UTC)

// finished is a finished request, and its connection.
func finished() (*conn.Conn, *stream.Stream) {
	c := conn.New(nil)
	c.Info = info.Conn{
		Start: start, End: start.Add(time.Second), Source: netip.MustParseAddrPort("10.0.0.1:1000"), Dest: netip.MustParseAddrPort("10.0.0.2:80"),
		DirectSource: netip.MustParseAddrPort("10.0.0.3:1001"), TLSVersion: "TLSv1.3", ServerName: []byte("a.example"),
		PeerCertificate: &info.Certificate{Subject: "CN=client", URIs: []string{"spiffe://a"}, DNSNames: []string{"d"}},
		BytesReceived:   7, BytesSent: 8, UpstreamCluster: "db", UpstreamHost: netip.MustParseAddrPort("10.0.0.9:5432"),
		Flags: info.UpstreamConnectionFailure, Details: "why",
	}
	s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
	s.Conn = c
	for _, h := range [][2]string{
		{":method", "GET"}, {":path", "/p"}, {":authority", "h"}, {":scheme", "http"}, {"x-request-id", "id"}, {"x-a", "1"}, {"x-a", "2"}, {"user-agent", "u"},
	} {
		s.Request.AddRaw([]byte(h[0]), []byte(h[1]))
	}
	s.Response.AddRaw([]byte("x-b"), []byte("3"))
	s.Info = info.Stream{
		Protocol: info.HTTP2, Route: "r", Cluster: "web", UpstreamHost: netip.MustParseAddrPort("[::1]:8080"), Attempts: 2, Code: 503,
		Flags: info.NoHealthyUpstream | info.UnauthorizedExternalService, Details: "no_healthy_upstream", BytesReceived: 5, BytesSent: 6,
		RequestHeaderBytes: 50, ResponseHeaderBytes: 60, Start: start, RequestDone: start.Add(time.Millisecond), End: start.Add(time.Second),
	}
	return c, s
}

func same(t *testing.T, got *alsdata.HTTPAccessLogEntry, tcp *alsdata.TCPAccessLogEntry, want string) {
	t.Helper()
	var b []byte
	var err error
	if tcp != nil {
		b, err = protojson.Marshal(tcp)
	} else {
		b, err = protojson.Marshal(got)
	}
	if err != nil {
		t.Fatal(err)
	}
	compact := slices.DeleteFunc(b, func(c byte) bool { return c == ' ' })
	if string(compact) != want {
		t.Errorf("got\n%s\nwant\n%s", compact, want)
	}
}

func TestEntries(t *testing.T) {
	c, s := finished()
	l := &logger{c: &settings{
		request: []header.Name{header.Intern("x-a"), header.Intern("x-none")}, response: []header.Name{header.Intern("x-b")},
	}}
	same(t, l.httpEntry(c, s), nil, wantHTTP)
	same(t, nil, tcpEntry(c), wantTCP)
}

const (
	connectionJSON = `"downstreamRemoteAddress":{"socketAddress":{"address":"10.0.0.1","portValue":1000}},` +
		`"downstreamLocalAddress":{"socketAddress":{"address":"10.0.0.2","portValue":80}},` +
		`"tlsProperties":{"tlsVersion":"TLSv1_3","tlsSniHostname":"a.example",` +
		`"peerCertificateProperties":{"subjectAltName":[{"uri":"spiffe://a"},{"dns":"d"}],"subject":"CN=client"}},`
	wantHTTP = `{"commonProperties":{` + connectionJSON + `"startTime":"2026-11-04T03:02:01Z","timeToLastRxByte":"0.001s",` +
		`"timeToLastDownstreamTxByte":"1s","upstreamRemoteAddress":{"socketAddress":{"address":"::1","portValue":8080}},` +
		`"upstreamCluster":"web","responseFlags":{"noHealthyUpstream":true,"unauthorizedDetails":{"reason":"EXTERNAL_SERVICE"}},` +
		`"routeName":"r","downstreamDirectRemoteAddress":{"socketAddress":{"address":"10.0.0.3","portValue":1001}},"duration":"1s",` +
		`"upstreamRequestAttemptCount":2,"connectionTerminationDetails":"why","streamId":"id","accessLogType":"DownstreamEnd"},` +
		`"protocolVersion":"HTTP2","request":{"requestMethod":"GET","scheme":"http","authority":"h","path":"/p","userAgent":"u",` +
		`"requestId":"id","requestHeadersBytes":"50","requestBodyBytes":"5","requestHeaders":{"x-a":"1,2"}},` +
		`"response":{"responseCode":503,"responseHeadersBytes":"60","responseBodyBytes":"6","responseHeaders":{"x-b":"3"},` +
		`"responseCodeDetails":"no_healthy_upstream"}}`
	wantTCP = `{"commonProperties":{` + connectionJSON + `"startTime":"2026-11-04T03:02:01Z","timeToLastDownstreamTxByte":"1s",` +
		`"upstreamRemoteAddress":{"socketAddress":{"address":"10.0.0.9","portValue":5432}},"upstreamCluster":"db",` +
		`"responseFlags":{"upstreamConnectionFailure":true},` +
		`"downstreamDirectRemoteAddress":{"socketAddress":{"address":"10.0.0.3","portValue":1001}},"duration":"1s",` +
		`"connectionTerminationDetails":"why","accessLogType":"TcpConnectionEnd"},` +
		`"connectionProperties":{"receivedBytes":"7","sentBytes":"8"}}`
)

// service is a real access log service.
type service struct {
	alsv3.UnimplementedAccessLogServiceServer
	got chan *alsv3.StreamAccessLogsMessage
}

func (s *service) StreamAccessLogs(in alsv3.AccessLogService_StreamAccessLogsServer) error {
	for {
		m, err := in.Recv()
		if err != nil {
			return in.SendAndClose(&alsv3.StreamAccessLogsResponse{})
		}
		s.got <- m
	}
}

// serve runs the service on the address, or on a new one.
func serve(t *testing.T, addr string) (s *service, at string, stop func()) {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	s = &service{got: make(chan *alsv3.StreamAccessLogsMessage, 100)}
	g := grpc.NewServer()
	alsv3.RegisterAccessLogServiceServer(g, s)
	var wg sync.WaitGroup
	wg.Go(func() { _ = g.Serve(ln) })
	stop = sync.OnceFunc(func() { g.Stop(); wg.Wait() })
	t.Cleanup(stop)
	return s, ln.Addr().String(), stop
}

// context is what a logger is built with: a cluster "als" of one address.
func buildContext(t *testing.T, addr string) (*filters.BuildContext, *stats.Store) {
	t.Helper()
	w, err := netio.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	store := stats.NewStore()
	m := upstream.NewManager(upstream.Options{Stats: store.Scope(""), Watcher: w})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	wg.Go(func() { _ = m.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	many := cluster.Thresholds{MaxConnections: 9, MaxPending: 9, MaxRequests: 9, BudgetPercent: -1}
	err = m.Apply(&config.Snapshot{Clusters: map[string]*config.Resource{"als": {Name: "als", Value: &cluster.Cluster{
		Name: "als", Type: cluster.Static, ConnectTimeout: time.Second, Default: many, High: many,
		Assignment: &cluster.Assignment{Cluster: "als", Localities: []cluster.Locality{{
			Endpoints: []*cluster.Endpoint{{Addr: netip.MustParseAddrPort(addr), Weight: 1}},
		}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	return &filters.BuildContext{Stats: store.Scope(""), Clusters: m, Node: filters.Node{ID: "n", Cluster: "c"}}, store
}

func TestSending(t *testing.T) {
	s, addr, stop := serve(t, "127.0.0.1:0")
	bc, _ := buildContext(t, addr)
	closing := make(chan struct{})
	bc.Closing = closing
	m := &grpcv3.HttpGrpcAccessLogConfig{}
	if err := protojson.Unmarshal([]byte(`{"common_config":{"log_name":"l","buffer_flush_interval":"0.01s",
		"grpc_service":{"envoy_grpc":{"cluster_name":"als"}}}}`), m); err != nil {
		t.Fatal(err)
	}
	c, err := parseHTTP(m, nil)
	if err != nil {
		t.Fatal(err)
	}
	l := newLogger(c, bc)
	cn, st := finished()
	l.Log(cn, st)
	first := <-s.got
	if id := first.GetIdentifier(); id.GetLogName() != "l" || id.GetNode().GetId() != "n" || id.GetNode().GetCluster() != "c" {
		t.Errorf("identifier %v", id)
	}
	if e := first.GetHttpLogs().GetLogEntry(); len(e) != 1 || e[0].GetRequest().GetPath() != "/p" {
		t.Errorf("entries %v", e)
	}
	l.Log(cn, nil)
	if m := <-s.got; m.GetIdentifier() != nil || len(m.GetTcpLogs().GetLogEntry()) != 1 {
		t.Errorf("second message %v", m)
	}
	// What is written before the break is noticed is lost with the stream: the
	// protocol has no acknowledgements. So another entry is logged whenever none
	// waits, until one arrives.
	stop()
	s, _, _ = serve(t, addr)
	for first = nil; first == nil; {
		l.mu.Lock()
		lost := l.waiting == 0
		l.mu.Unlock()
		if lost {
			l.Log(cn, st)
		}
		select {
		case first = <-s.got:
		case <-t.Context().Done():
			t.Fatal("nothing arrived after a restart")
		default:
			runtime.Gosched()
		}
	}
	if first.GetIdentifier() == nil || len(first.GetHttpLogs().GetLogEntry()) == 0 {
		t.Errorf("message after a restart %v", first)
	}
	l.Log(cn, nil)
	close(closing)
	for m := range s.got { // until the last one
		if len(m.GetTcpLogs().GetLogEntry()) == 1 {
			break
		}
	}
}

// What a service does not take is dropped, and counted, and nobody waits.
func TestDropping(t *testing.T) {
	bc, _ := buildContext(t, "127.0.0.1:1")
	closing := make(chan struct{})
	bc.Closing = closing
	l := newLogger(&settings{name: "l", interval: time.Hour, size: defaultSize}, bc)
	cn, st := finished()
	for l.stats.Dropped.Value() == 0 {
		l.Log(cn, st)
	}
	l.mu.Lock()
	n := l.waiting
	l.mu.Unlock()
	if n > maxWaiting {
		t.Errorf("%d bytes wait", n)
	}
	close(closing)
}

func TestParse(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		m := &grpcv3.TcpGrpcAccessLogConfig{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		_, err := parseTCP(m, nil)
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	f(`{}`, "common_config: unset")
	f(`{"common_config":{"log_name":"l"}}`, "common_config.grpc_service: unset")
	f(`{"common_config":{"log_name":"l","grpc_service":{"google_grpc":{"target_uri":"h:1","stat_prefix":"p"}}}}`,
		"common_config.grpc_service.google_grpc: not supported for access logs (use envoy_grpc)")
	f(`{"common_config":{"grpc_service":{"envoy_grpc":{"cluster_name":"c"}},"buffer_flush_interval":"0s"}}`,
		"common_config.log_name: unset\ncommon_config.buffer_flush_interval: zero duration")
}
