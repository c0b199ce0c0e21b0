package listener_test

import (
	"bytes"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

const (
	pgSSL     = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	pgGSS     = "\x00\x00\x00\x08\x04\xd2\x16\x30"
	pgStartup = "\x00\x00\x00\x10\x00\x03\x00\x00user\x00\x00\x00\x00"
)

// pgServer answers an SSLRequest with one byte, keeps what it gets, and says "ready" once it has as many bytes as wanted.
func pgServer(t *testing.T, answer byte, want int) (addr string, got func() string) {
	var mu sync.Mutex
	var all bytes.Buffer
	keep := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		all.Write(b)
	}
	addr = origin(t, func(c *net.TCPConn) {
		b := make([]byte, 8)
		if _, err := io.ReadFull(c, b); err != nil {
			return
		}
		keep(b)
		if string(b) == pgSSL {
			if _, err := c.Write([]byte{answer}); err != nil || answer != 'S' {
				return
			}
		}
		b = make([]byte, want)
		n, _ := io.ReadFull(c, b)
		keep(b[:n])
		_, _ = io.WriteString(c, "ready\n")
	})
	return addr, func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

func pgListener(t *testing.T, ssl, server string) *running {
	t.Helper()
	return newRig(t, map[string]string{"db": server}).run(`
name: in
address: {$loopback}
listener_filters: [$tls_inspector, $http_inspector]
access_log: [$log]
metadata: {filter_metadata: {weir.sniffing: {postgres: {ssl: ` + ssl + `}}}}
filter_chains:
- name: plain
  filter_chain_match: {transport_protocol: postgres, application_protocols: [postgres]}
  filters: [{name: t, typed_config: {$tcp, cluster: db}}]
- name: asks
  filter_chain_match: {transport_protocol: postgres}
  filters: [{name: s, typed_config: {$say: asks}}]
- name: named
  filter_chain_match: {server_names: [db.test]}
  filters: [{name: t, typed_config: {$tcp, cluster: db}}]
- name: web
  filter_chain_match: {application_protocols: [http/1.1], transport_protocol: raw_buffer}
  filters: [{name: s, typed_config: {$say: web}}]
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`)
}

func TestPostgresIsRecognised(t *testing.T) {
	addr, got := pgServer(t, 'S', len(pgStartup)-8)
	x := pgListener(t, "pass", addr)
	if l := x.ask(pgSSL); !strings.HasPrefix(l, "asks ") || !strings.Contains(l, `transport="postgres" alpn=["postgres_ssl_request"]`) || !strings.HasSuffix(l, "in=8") {
		t.Error(l)
	}
	if l := x.ask(pgGSS); !strings.Contains(l, `alpn=["postgres_gss_request"]`) {
		t.Error(l)
	}
	if l := x.ask(pgStartup); l != "ready" || got() != pgStartup {
		t.Errorf("%q, the server got %q", l, got())
	}
	if l := x.ask("GET / HTTP/1.1\r\n"); !strings.HasPrefix(l, "web ") {
		t.Error(l)
	}
	if l := x.ask(string(hello(t, "other.test"))); !strings.HasPrefix(l, "rest ") {
		t.Error(l)
	}
}

// The server name behind an SSLRequest chooses the chain, and the server sees what it would have seen.
func TestPostgresIsRoutedByServerName(t *testing.T) {
	h := hello(t, "db.test")
	f := func(name string, before ...string) {
		t.Run(name, func(t *testing.T) {
			addr, got := pgServer(t, 'S', len(h))
			x := pgListener(t, "accept", addr)
			c := x.dial()
			for _, b := range append(before, pgSSL) {
				x.say(c, b)
				want, answer := byte('S'), []byte{0}
				if b == pgGSS {
					want = 'N'
				}
				if _, err := io.ReadFull(c, answer); err != nil || answer[0] != want {
					t.Fatalf("%q is answered %q, %v", b, answer, err)
				}
			}
			for i := range h {
				x.say(c, string(h[i:i+1]))
			}
			if l := line(t, c); l != "ready" || got() != pgSSL+string(h) {
				t.Errorf("%q, the server got %q", l, got())
			}
			c.Close()
			until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == 1 })
			if i, _ := x.r.logs.last(); i.FilterChain != "named" || string(i.ServerName) != "db.test" {
				t.Errorf("%s, %s", i.FilterChain, i.ServerName)
			}
			if n := x.counter("downstream_pre_cx_postgres_ssl"); n != 1 {
				t.Errorf("counted %d", n)
			}
		})
	}
	f("SSLRequest")
	f("GSSENCRequest first", pgGSS)
}

func TestPostgresServerThatRefuses(t *testing.T) {
	addr, got := pgServer(t, 'N', 0)
	x := pgListener(t, "accept", addr)
	c := x.dial()
	x.say(c, pgSSL)
	if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	x.say(c, string(hello(t, "db.test")))
	if b, err := io.ReadAll(c); len(b) > 0 || err == nil {
		t.Errorf("%q, %v: no reset", b, err)
	}
	until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == 1 })
	if i, _ := x.r.logs.last(); i.Details != "postgres_ssl_refused" || got() != pgSSL {
		t.Errorf("%s, the server got %q", i.Details, got())
	}
}

// What comes behind a request before its answer is nobody's to answer but the server's.
func TestPostgresRequestWithMoreIsNotAnswered(t *testing.T) {
	addr, _ := pgServer(t, 'S', 0)
	x := pgListener(t, "accept", addr)
	if l := x.ask(pgSSL + "\x16\x03"); !strings.HasPrefix(l, "asks ") || !strings.HasSuffix(l, "in=10") {
		t.Error(l)
	}
	if l := x.ask(pgStartup + "x"); l != "ready" {
		t.Error(l)
	}
}
