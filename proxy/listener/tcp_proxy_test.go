package listener_test

import (
	"io"
	"strings"
	"testing"
)

const echoListener = `
name: in
address: {$loopback}
access_log: [$log]
filter_chains:
- filters: [{name: tcp, typed_config: {$tcp, cluster: a}}]
`

func TestBytesGoBothWaysAndHalfCloseIsPassedOn(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, echo)})
	x := r.run(echoListener)
	c := x.dial()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// The origin echoes until it sees our end, and ends then.
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	until(t, "the connection is over", func() bool { return x.counter("downstream_cx_destroy") == 1 })
	i, n := r.logs.last()
	if n != 1 || i.BytesReceived != 5 || i.BytesSent != 5 || i.UpstreamCluster != "a" || i.Flags != 0 {
		t.Errorf("%d entries, the last %+v", n, i)
	}
	for name, want := range map[string]int64{
		"tcp.t.downstream_cx_total": 1, "tcp.t.downstream_cx_rx_bytes_total": 5, "tcp.t.downstream_cx_tx_bytes_total": 5,
		"cluster.a.upstream_cx_total": 1, "cluster.a.upstream_cx_active": 0, "cluster.a.upstream_cx_tx_bytes_total": 5, "cluster.a.upstream_cx_rx_bytes_total": 5,
	} {
		if got := r.stat(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if n := x.ActiveConns(); n != 0 {
		t.Errorf("%d connections are active", n)
	}
}

func TestChainsAreSelectedByWhatIsSniffed(t *testing.T) {
	r := newRig(t, nil)
	x := r.run(`
name: in
address: {$loopback}
listener_filters: [$tls_inspector, $http_inspector]
filter_chains:
- name: web
  filter_chain_match: {application_protocols: ["http/1.1", "http/1.0"]}
  filters: [{name: s, typed_config: {$say: web}}]
- name: tls
  filter_chain_match: {transport_protocol: tls}
  filters: [{name: s, typed_config: {$say: tls}}]
- name: h2
  filter_chain_match: {application_protocols: [h2c]}
  filters: [{name: s, typed_config: {$say: h2}}]
default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}
`)
	for _, c := range []struct{ send, want string }{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", `web chain="web"`},
		{"GET / HTTP/1.0\r\n\r\n", `web chain="web"`},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", `h2 chain="h2"`},
		{"*1\r\n$4\r\nPING\r\n", `rest chain="rest"`},
	} {
		if got := x.ask(c.send); !strings.HasPrefix(got, c.want) {
			t.Errorf("%q: %s, want %s", c.send, got, c.want)
		}
	}
}
