package tlsctx_test

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// TestRecordsAllocateLittle: nothing of ours is allocated for a record, written and read, of a steady connection that waits without memory
// between records. The one allocation, 24 bytes, is crypto/tls's own (Conn.readFromUntil).
func TestRecordsAllocateLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	ca := secrettest.CA(t, "ca")
	cl := newClient(t, &tlsctx.ClientConfig{}, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a")), Params: tlsctx.Params{Max: version}}}, nil)
		a, b := bothOurs(t, s, cl)
		head, body := make([]byte, 200), make([]byte, 1000)
		var in buffer.Buf
		got := testing.AllocsPerRun(200, func() {
			if _, err := a.Writev(head, body); err != nil {
				t.Fatal(err)
			}
			for n := 0; n < len(head)+len(body); {
				k, err := b.ReadBuf(&in)
				if err != nil {
					t.Fatal(err)
				}
				n += k
				in.Discard() // as an idle connection does
			}
		})
		if got > 1 {
			t.Errorf("%x: %v allocations for a record", version, got)
		}
	}
}

// bothOurs connects a Server with a Client.
func bothOurs(t testing.TB, s, cl *side) (server, client netio.Conn) {
	t.Helper()
	sock, raw := sockets(t)
	other := socketOf(t, raw)
	raw.Close()
	c := conn.New(sock)
	done := make(chan error, 1)
	go func() { done <- s.Server.Server(c, time.Now().Add(10*time.Second)) }()
	client, _, err := cl.Client.Handshake(other, time.Now().Add(10*time.Second), &tlsctx.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); client.Close() })
	return c, client
}

// BenchmarkRequest is a small request and its answer over TLS, both sides ours.
func BenchmarkRequest(b *testing.B) {
	ca := secrettest.CA(b, "ca")
	cl := newClient(b, &tlsctx.ClientConfig{}, nil)
	s := newServer(b, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(b, ca.Issue(b, "a"))}}, nil)
	x, y := bothOurs(b, s, cl)
	msg := make([]byte, 300)
	b.ReportAllocs()
	var in buffer.Buf
	for b.Loop() {
		for _, d := range [2][2]netio.Conn{{x, y}, {y, x}} {
			if _, err := d[0].Write(msg); err != nil {
				b.Fatal(err)
			}
			if _, err := d[1].ReadBuf(&in); err != nil {
				b.Fatal(err)
			}
			in.Discard()
		}
	}
}
