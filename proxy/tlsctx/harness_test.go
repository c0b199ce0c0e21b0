package tlsctx_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func inline(s string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: s}}
}

// certificate makes the model of a pair.
func certificate(t testing.TB, p *secrettest.Pair) *secret.Secret {
	t.Helper()
	return decode(t, &tlsv3.Secret{Type: &tlsv3.Secret_TlsCertificate{
		TlsCertificate: &tlsv3.TlsCertificate{CertificateChain: inline(p.Cert()), PrivateKey: inline(p.PrivateKey())},
	}})
}

func validation(t testing.TB, v *tlsv3.CertificateValidationContext) *secret.Secret {
	t.Helper()
	return decode(t, &tlsv3.Secret{Type: &tlsv3.Secret_ValidationContext{ValidationContext: v}})
}

func trust(t testing.TB, ca *secrettest.Pair) *secret.Secret {
	t.Helper()
	return validation(t, &tlsv3.CertificateValidationContext{TrustedCa: inline(ca.Cert())})
}

func decode(t testing.TB, p *tlsv3.Secret) *secret.Secret {
	t.Helper()
	s, err := secret.Decode(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ref(s *secret.Secret) tlsctx.Ref { return tlsctx.Ref{Inline: s} }

func refs(t testing.TB, ps ...*secrettest.Pair) (out []tlsctx.Ref) {
	t.Helper()
	for _, p := range ps {
		out = append(out, ref(certificate(t, p)))
	}
	return out
}

// A side is a Server or a Client with its statistics.
type side struct {
	*tlsctx.Server
	*tlsctx.Client
	store *stats.Store
}

func newServer(t testing.TB, cfg *tlsctx.ServerConfig, r tlsctx.Resolver) *side {
	t.Helper()
	st := stats.NewStore()
	s, err := tlsctx.NewServer(cfg, r, tlsctx.NewTally(st.Scope(""), true))
	if err != nil {
		t.Fatal(err)
	}
	return &side{Server: s, store: st}
}

func newClient(t testing.TB, cfg *tlsctx.ClientConfig, r tlsctx.Resolver) *side {
	t.Helper()
	st := stats.NewStore()
	c, err := tlsctx.NewClient(cfg, r, tlsctx.NewTally(st.Scope(""), false))
	if err != nil {
		t.Fatal(err)
	}
	return &side{Client: c, store: st}
}

func (s *side) counted(t testing.TB, name string, want int64) {
	t.Helper()
	if !strings.HasPrefix(name, "server_ssl_") {
		name = "ssl." + name
	}
	if got, _ := s.store.Value(name); got != want {
		t.Errorf("%s is %d, want %d", name, got, want)
	}
}

// sockets gives the two ends of a connection over loopback.
func sockets(t testing.TB) (*netio.Socket, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	return socketOf(t, b), a
}

func socketOf(t testing.TB, c net.Conn) *netio.Socket {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	fd := -1
	if err := raw.Control(func(p uintptr) { fd, err = unix.FcntlInt(p, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || fd < 0 {
		t.Fatal(err)
	}
	addr := func(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
	s, err := netio.NewSocket(fd, addr(c.LocalAddr()), addr(c.RemoteAddr()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A result is what a handshake came to on both sides.
type result struct {
	server    *conn.Conn
	info      info.Conn
	serverErr error
	client    *tls.Conn
	state     tls.ConnectionState
	clientErr error
}

// shake does a handshake between the Server and a client of crypto/tls. The client reads a byte, so that what TLS 1.3 tells late has
// come.
func shake(t testing.TB, s *side, cfg *tls.Config) *result {
	t.Helper()
	sock, raw := sockets(t)
	c := conn.New(sock)
	r := &result{server: c}
	var wg sync.WaitGroup
	wg.Go(func() {
		if r.serverErr = s.Server.Server(c, time.Now().Add(10*time.Second)); r.serverErr != nil {
			sock.Close()
			return
		}
		_, r.serverErr = c.Write([]byte("!"))
	})
	r.client = tls.Client(raw, cfg)
	_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
	if r.clientErr = r.client.Handshake(); r.clientErr == nil {
		_, r.clientErr = io.ReadFull(r.client, make([]byte, 1))
	}
	wg.Wait()
	r.state = r.client.ConnectionState()
	r.info = c.Info
	t.Cleanup(func() { r.client.Close(); c.Close() })
	return r
}

func pool(ps ...*secrettest.Pair) *x509.CertPool {
	out := x509.NewCertPool()
	for _, p := range ps {
		out.AddCert(p.Leaf)
	}
	return out
}

func keyPair(p *secrettest.Pair) tls.Certificate {
	c := tls.Certificate{PrivateKey: p.Key, Leaf: p.Leaf, Certificate: [][]byte{p.Leaf.Raw}}
	for _, a := range p.Above {
		c.Certificate = append(c.Certificate, a.Leaf.Raw)
	}
	return c
}

// offering is a client's configuration for a name, that takes any certificate.
func offering(name string, opts ...func(*tls.Config)) *tls.Config {
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
	for _, o := range opts {
		o(c)
	}
	return c
}

// readAll reads n bytes through ReadBuf.
func readAll(t testing.TB, c netio.Conn, n int) string {
	t.Helper()
	var b buffer.Buf
	defer b.Discard()
	for b.Len() < n {
		if _, err := c.ReadBuf(&b); err != nil && !errors.Is(err, io.EOF) {
			t.Fatal(err)
		} else if err != nil {
			break
		}
	}
	return string(b.Bytes())
}
