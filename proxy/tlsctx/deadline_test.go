package tlsctx_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// TestAWriteThatADeadlineEndedGoesOn: not a byte is lost or sent twice, whatever the
// deadline cut short.
func TestAWriteThatADeadlineEndedGoesOn(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	cl := newClient(t, &tlsctx.ClientConfig{}, nil)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{Certificates: refs(t, ca.Issue(t, "a")), Params: tlsctx.Params{Max: version}}}, nil)
		a, b := bothOurs(t, s, cl)
		sent := make([]byte, 32<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(sent)
		_ = a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := a.Write(sent) // nobody reads
		if n >= len(sent) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d of %d bytes, %v", n, len(sent), err)
		}
		if k, err := a.Write(sent[n:]); k != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v after the deadline", k, err)
		}
		_ = a.SetWriteDeadline(time.Time{})
		got := make([]byte, len(sent))
		read := make(chan error, 1)
		go func() { _, err := io.ReadFull(struct{ io.Reader }{b}, got); read <- err }()
		if k, err := a.Write(sent[n:]); err != nil || n+k != len(sent) {
			t.Errorf("%d of %d bytes, %v", n+k, len(sent), err)
		}
		if err := <-read; err != nil || !bytes.Equal(got, sent) {
			t.Errorf("what came is not what was sent: %v", err)
		}
	}
}
