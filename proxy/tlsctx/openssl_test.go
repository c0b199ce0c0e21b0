package tlsctx_test

import (
	"bytes"
	"context"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// TestOpenSSL lets another implementation judge: versions, ciphers, ALPN, tickets and names as openssl s_client sees them.
func TestOpenSSL(t *testing.T) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	ca := secrettest.CA(t, "ca")
	s := newServer(t, &tlsctx.ServerConfig{Common: tlsctx.Common{
		ALPN:         []string{"h2", "http/1.1"},
		Certificates: refs(t, ca.IssueRSA(t, "first", secrettest.DNS("first.example")), ca.Issue(t, "wild", secrettest.DNS("*.wild.example"))),
	}}, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := conn.New(socketOf(t, nc))
			nc.Close()
			if s.Server.Server(c, time.Now().Add(10*time.Second)) == nil {
				_, _ = c.Write([]byte("served\n"))
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	sess := filepath.Join(t.TempDir(), "session")
	for _, c := range []struct {
		name  string
		args  string
		wants []string
	}{
		{"TLS 1.3", "-tls1_3 -servername a.wild.example -alpn http/1.1", []string{"TLSv1.3", "CN=wild", "ALPN protocol: http/1.1", "served"}},
		{"TLS 1.2", "-tls1_2 -servername first.example -cipher ECDHE-RSA-AES256-GCM-SHA384", []string{"TLSv1.2", "ECDHE-RSA-AES256-GCM-SHA384", "CN=first", "served"}},
		{"h2", "-alpn h2,http/1.1", []string{"ALPN protocol: h2"}},
		{"old versions are refused", "-tls1_1 -cipher ALL@SECLEVEL=0", []string{"Cipher is (NONE)"}},
		{"a ticket", "-tls1_2 -sess_out " + sess, []string{"New, TLSv1.2", "TLS session ticket:"}},
		{"is taken", "-tls1_2 -sess_in " + sess, []string{"Reused, TLSv1.2"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			cmd := exec.CommandContext(ctx, path, append([]string{"s_client", "-connect", l.Addr().String(), "-ign_eof"}, strings.Fields(c.args)...)...)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			_ = cmd.Run() // its exit status says little
			text := strings.ReplaceAll(out.String(), " = ", "=")
			for _, w := range c.wants {
				if !strings.Contains(text, w) {
					t.Errorf("%q is not in:\n%s", w, text)
				}
			}
		})
	}
}
