// Package sds proves secret discovery in one process with the real parts: a control plane, its client, the data plane and the admin
// interface, and TLS connections through them on the loopback.
package sds

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
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
	"github.com/weirproxy/weir/xds/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is everything from the control plane to the client.
type world struct {
	t     *testing.T
	ca    *authority
	srv   *server.Server
	addr  string // of the control plane
	xds   *xds.Client
	proxy *proxy.Proxy
	store *stats.Store
	admin http.Handler

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	log     strings.Builder
	answers []server.Answer
	applied uint64
}

// options change a world.
type options struct {
	static   []*config.Resource
	statics  []string // names of static secrets
	deadline time.Duration
}

func newWorld(t *testing.T, o options) *world {
	w := &world{t: t, ca: newAuthority(t), store: stats.NewStore(), changed: make(chan struct{})}
	log := zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()), logged{w}, zap.DebugLevel))
	var err error
	w.srv, err = server.New("", server.Options{AllowInconsistent: true, OnAnswer: func(a server.Answer) {
		w.note(func() { w.answers = append(w.answers, a) })
	}})
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	w.addr = l.Addr().String()
	w.background(func(ctx context.Context) { _ = w.srv.Serve(ctx, l) })

	w.proxy, err = proxy.New(proxy.Options{Log: log, Stats: w.store, DrainTime: time.Second, Workers: 1})
	w.must(err)
	w.background(func(ctx context.Context) { _ = w.proxy.Run(ctx) })
	dec := w.decoder(o.statics)
	w.xds = xds.New(xds.Options{
		Node: &corev3.Node{Id: "gw-1"}, ADS: &xds.ADS{Services: xds.Servers(w.addr)}, Static: o.static,
		Decode: func(url string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(url, a, false) },
		Open: func(src extension.Source) (xds.Remote, error) {
			return &xds.ADS{Name: src.Cluster, Services: xds.Servers(w.addr)}, nil
		},
		Apply: func(s *config.Snapshot) error {
			err := w.proxy.Apply(s)
			w.note(func() { w.applied = s.Version })
			return err
		},
		Logger: log, WarmingDeadline: o.deadline, RetryBase: time.Millisecond,
	})
	w.background(func(ctx context.Context) { _ = w.xds.Run(ctx) })
	w.admin = admin.New(admin.Options{Log: log, Stats: w.store, Proxy: w.proxy, XDS: w.xds.Status}).Handler(false)
	return w
}

func (w *world) decoder(statics []string) *config.Decoder {
	return &config.Decoder{Registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), Mode: support.Degrade, Secrets: statics}
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
	// Some of what is waited for comes about just after the last that is told.
	again := time.NewTicker(10 * time.Millisecond)
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

// push serves resources and waits until the client answered for secrets ("" is an ACK) and applied them.
func (w *world) push(answer string, ms ...proto.Message) {
	w.t.Helper()
	w.must(w.srv.SetResources(ms...))
	v := w.srv.Version(config.SecretURL)
	w.wait("an answer for secrets: "+answer, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, a := range w.answers {
			if a.TypeURL == config.SecretURL && a.Version == v && (a.Err == "") == (answer == "") && strings.Contains(a.Err, answer) {
				return true
			}
		}
		return false
	})
	w.wait("the snapshot", func() bool { st := w.xds.Status(); return st.Applied == st.Snapshot })
}

// listener answers every request with its name, over TLS as the DownstreamTlsContext in JSON says.
func (w *world) listener(name, context string) *listenerv3.Listener {
	w.t.Helper()
	m := &listenerv3.Listener{}
	w.must(protojson.Unmarshal([]byte(fmt.Sprintf(`{"name":%q,"address":{"socket_address":{"address":"127.0.0.1","port_value":0}},
	"filter_chains":[{"filters":[{"name":"hcm","typed_config":{
		"@type":"type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager","stat_prefix":%q,
		"route_config":{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
			{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":%q}}}]}]},
		"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}}],
	"transport_socket":{"name":"tls","typed_config":{
		"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",%s}}}]}`,
		name, name, name, context)), m))
	return m
}

// byADS is a context whose certificate comes by the aggregated stream.
func byADS(secret string) string {
	return `"common_tls_context":{"tls_certificate_sds_secret_configs":[{"name":"` + secret + `","sds_config":{"ads":{},"resource_api_version":"V3"}}]}`
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

// client is a TLS configuration that trusts the authority.
func (w *world) client() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(w.ca.cert)
	return &tls.Config{RootCAs: pool, ServerName: "a.example"}
}

// conn is one connection of a client.
type conn struct {
	*tls.Conn
	r *bufio.Reader
}

func (w *world) dial(listener string, cfg *tls.Config) (*conn, error) {
	d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: 10 * time.Second}, Config: cfg}
	c, err := d.DialContext(w.t.Context(), "tcp", w.at(listener))
	if err != nil {
		return nil, err
	}
	t := c.(*tls.Conn)
	return &conn{t, bufio.NewReader(t)}, nil
}

// ask sends a request and reads the whole response.
func (c *conn) ask() (string, error) {
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"); err != nil {
		return "", err
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(resp.Body)
	return string(b), errors.Join(err, resp.Body.Close())
}

func (c *conn) serial() int64 { return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() }

// serial makes one connection and gives the serial number of the certificate it was shown.
func (w *world) serial(listener string) int64 {
	w.t.Helper()
	c, err := w.dial(listener, w.client())
	w.must(err)
	defer c.Close()
	if body, err := c.ask(); err != nil || body != listener {
		w.t.Fatalf("%q, %v", body, err)
	}
	return c.serial()
}

// get asks the admin interface.
func (w *world) get(path string) string {
	r := httptest.NewRecorder()
	w.admin.ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	return r.Body.String()
}

func (w *world) stat(name string) int64 {
	v, _ := w.store.Value(name)
	return v
}
