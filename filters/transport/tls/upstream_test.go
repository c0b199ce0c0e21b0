package tls

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// A rig is a cluster manager with the real transport socket.
type rig struct {
	m     *upstream.Manager
	store *stats.Store
}

func newRig(t *testing.T) *rig {
	st := stats.NewStore()
	r := &rig{m: upstream.NewManager(upstream.Options{Stats: st.Scope("")}), store: st}
	t.Cleanup(func() { _ = r.m.Apply(&config.Snapshot{}) })
	return r
}

// cluster puts a cluster in force.
func (r *rig) cluster(t *testing.T, addrs []netip.AddrPort, metadata []string, rest string) *upstream.Cluster {
	t.Helper()
	var ends []string
	for i, a := range addrs {
		e := fmt.Sprintf(`{"endpoint":{"address":{"socket_address":{"address":%q,"port_value":%d}},"hostname":"host.example"}`, a.Addr(), a.Port())
		if metadata != nil {
			e += `,"metadata":{"filter_metadata":{"envoy.transport_socket_match":` + metadata[i] + `}}`
		}
		ends = append(ends, e+"}")
	}
	var p clusterv3.Cluster
	text := `{"name":"a","load_assignment":{"cluster_name":"a","endpoints":[{"lb_endpoints":[` + strings.Join(ends, ",") + `]}]},` + rest + `}`
	if err := protojson.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	m, err := cluster.Decode(&p, extension.NewContext(extension.NewRegistry([]*extension.Factory{UpstreamFactory()}, lb.Policies()), "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.m.Apply(&config.Snapshot{Clusters: map[string]*config.Resource{"a": {Name: "a", Value: m}}}); err != nil {
		t.Fatal(err)
	}
	c, _ := r.m.Get("a")
	return c
}

func (r *rig) value(name string) int64 {
	v, _ := r.store.Value(name)
	return v
}

func upstreamTLS(common, rest string) string {
	return `{"name":"tls","typed_config":{"@type":"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext","common_tls_context":{` + common + `}` + rest + `}}`
}

func trusting(ca *secrettest.Pair) string {
	return fmt.Sprintf(`"validation_context":{"trusted_ca":{"inline_string":%q}}`, ca.Cert())
}

// origin is an HTTPS server that says which name it was asked for, and by whom.
func origin(t *testing.T, leaf *secrettest.Pair, version uint16) netip.AddrPort {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			fmt.Fprint(w, "plain")
			return
		}
		who := ""
		if len(r.TLS.PeerCertificates) > 0 {
			who = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		fmt.Fprintf(w, "sni=%s client=%s", r.TLS.ServerName, who)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	if leaf != nil {
		s.TLS = &tls.Config{
			MaxVersion: version, ClientAuth: tls.RequestClientCert,
			Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Leaf.Raw}, PrivateKey: leaf.Key}},
		}
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return netip.MustParseAddrPort(s.Listener.Addr().String())
}

func get(t *testing.T, c *upstream.Cluster, h *upstream.Host, o upstream.OpenInfo) (body string, reused bool, err error) {
	t.Helper()
	a, e := c.OpenHTTP(context.Background(), h, &o)
	if e != nil {
		return "", false, e
	}
	var req, resp, tr header.Headers
	req.AddString(header.Method, "GET")
	req.AddString(header.Path, "/")
	req.AddString(header.Authority, "a")
	a.Begin(nil)
	if err := a.WriteHeaders(&req, true); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	code, err := a.ReadHeaders(&resp)
	if err != nil {
		t.Fatal(err)
	}
	for end := a.StartBody(&tr); !end; {
		var p []byte
		if p, end, err = a.ReadBody(); err != nil {
			t.Fatal(err)
		}
		body += string(p)
	}
	reused = a.Reused
	a.Report(upstream.Outcome{Code: code})
	a.Release()
	return body, reused, nil
}

func hostAt(t *testing.T, c *upstream.Cluster, a netip.AddrPort) *upstream.Host {
	t.Helper()
	for range 100 { // round robin comes by
		h, err := c.Pick(&upstream.PickInfo{})
		if err != nil {
			t.Fatal(err)
		}
		if h.Address() == a {
			return h
		}
	}
	t.Fatalf("no host %s", a)
	return nil
}

func TestRequestsOverTLS(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Issue(t, "origin", secrettest.DNS("origin.example"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		r := newRig(t)
		at := origin(t, leaf, version)
		c := r.cluster(t, []netip.AddrPort{at}, nil,
			`"transport_socket":`+upstreamTLS(trusting(ca)+`,"tls_certificates":[`+crt(ca.Issue(t, "weir"))+`]`, `,"sni":"origin.example","auto_sni_san_validation":true`))
		h := hostAt(t, c, at)
		for i, want := range []bool{false, true, true} {
			body, reused, err := get(t, c, h, upstream.OpenInfo{})
			if err != nil || body != "sni=origin.example client=weir" || reused != want {
				t.Errorf("%x %d: %q, reused %v, %v", version, i, body, reused, err)
			}
		}
		if got := r.value("cluster.a.ssl.handshake"); got != 1 {
			t.Errorf("%d handshakes", got)
		}
		// A name of the request's own is a connection of its own, and checked when that is asked for.
		if body, reused, err := get(t, c, h, upstream.OpenInfo{SNI: "other.example"}); err == nil || reused {
			t.Errorf("%q: a certificate that is not good for the name that was sent", body)
		}
		if got := r.value("cluster.a.ssl.fail_verify_san"); got != 1 {
			t.Errorf("fail_verify_san is %d", got)
		}
		if got := r.value("cluster.a.upstream_cx_connect_fail"); got != 1 {
			t.Errorf("upstream_cx_connect_fail is %d", got)
		}
		// A request may say itself whom it wants: the configured names hold besides.
		if body, _, err := get(t, c, h, upstream.OpenInfo{SAN: "127.0.0.1"}); err == nil {
			t.Errorf("%q: a certificate that is not good for the address", body)
		}
		if _, reused, err := get(t, c, h, upstream.OpenInfo{}); err != nil || !reused {
			t.Errorf("the other connection: reused %v, %v", reused, err)
		}
	}
}

func TestAutoHostSNI(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	r := newRig(t)
	at := origin(t, ca.Issue(t, "origin", secrettest.DNS("host.example")), tls.VersionTLS13)
	c := r.cluster(t, []netip.AddrPort{at}, nil, `"transport_socket":`+upstreamTLS(trusting(ca), `,"sni":"x","auto_host_sni":true,"auto_sni_san_validation":true`))
	if body, _, err := get(t, c, hostAt(t, c, at), upstream.OpenInfo{}); err != nil || body != "sni=host.example client=" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestUntrustedOriginIsNotReached(t *testing.T) {
	ca, other := secrettest.CA(t, "ca"), secrettest.CA(t, "other")
	r := newRig(t)
	at := origin(t, other.Issue(t, "origin"), tls.VersionTLS13)
	c := r.cluster(t, []netip.AddrPort{at}, nil, `"transport_socket":`+upstreamTLS(trusting(ca), ""))
	_, _, err := get(t, c, hostAt(t, c, at), upstream.OpenInfo{})
	if err == nil || !strings.Contains(err.Error(), "verify peer certificate") {
		t.Errorf("%v", err)
	}
	if got := r.value("cluster.a.ssl.fail_verify_error"); got != 1 {
		t.Errorf("fail_verify_error is %d", got)
	}
	if got := r.value("cluster.a.upstream_cx_active"); got != 0 {
		t.Errorf("%d connections", got)
	}
}

func TestSilentOriginMeetsConnectTimeout(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	r := newRig(t)
	at := netip.MustParseAddrPort(l.Addr().String())
	c := r.cluster(t, []netip.AddrPort{at}, nil, `"connect_timeout":"0.05s","transport_socket":`+upstreamTLS("", ""))
	start := time.Now()
	if _, _, err := get(t, c, hostAt(t, c, at), upstream.OpenInfo{}); err == nil || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	if got := r.value("cluster.a.upstream_cx_connect_timeout"); got != 1 {
		t.Errorf("upstream_cx_connect_timeout is %d", got)
	}
}

func TestTransportSocketMatches(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	r := newRig(t)
	secure, plain, bare := origin(t, ca.Issue(t, "origin"), tls.VersionTLS13), origin(t, nil, 0), origin(t, nil, 0)
	rest := `"transport_socket_matches":[
		{"name":"tls","match":{"tls":true},"transport_socket":` + upstreamTLS(trusting(ca), "") + `},
		{"name":"plain","match":{},"transport_socket":{"name":"envoy.transport_sockets.raw_buffer"}}]`
	c := r.cluster(t, []netip.AddrPort{secure, plain, bare}, []string{`{"tls":true}`, `{"tls":"no"}`, `{}`}, rest)
	for at, want := range map[netip.AddrPort]string{secure: "sni= client=", plain: "plain", bare: "plain"} {
		if body, _, err := get(t, c, hostAt(t, c, at), upstream.OpenInfo{}); err != nil || body != want {
			t.Errorf("%s: %q, %v, want %q", at, body, err, want)
		}
	}
	// The metadata changes: the connection in the pool is of the wrong kind and not used.
	c = r.cluster(t, []netip.AddrPort{secure, plain, bare}, []string{`{"tls":true}`, `{"tls":true}`, `{}`}, rest)
	if _, _, err := get(t, c, hostAt(t, c, plain), upstream.OpenInfo{}); err == nil {
		t.Error("a plain connection of before was used")
	}
}

func TestRawBytesOverTLS(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	leaf := ca.Issue(t, "origin")
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Leaf.Raw}, PrivateKey: leaf.Key}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.Copy(c, c)
	}()
	r := newRig(t)
	at := netip.MustParseAddrPort(l.Addr().String())
	c := r.cluster(t, []netip.AddrPort{at}, nil, `"transport_socket":`+upstreamTLS(trusting(ca), ""))
	up, e := c.OpenTCP(context.Background(), hostAt(t, c, at), &upstream.OpenInfo{})
	if e != nil {
		t.Fatal(e)
	}
	if up.Socket() != nil {
		t.Error("encrypted bytes would be spliced")
	}
	if _, err := up.Write([]byte("echo")); err != nil {
		t.Fatal(err)
	}
	if err := up.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(up)
	if err != nil || string(got) != "echo" {
		t.Errorf("%q, %v", got, err)
	}
	if up.TLS == nil || up.TLS.Peer.Subject != "CN=origin,O=Weir" {
		t.Errorf("%+v", up.TLS)
	}
	if err := up.Close(); err != nil {
		t.Error(err)
	}
}
