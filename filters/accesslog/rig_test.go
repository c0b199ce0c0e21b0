package accesslog

import (
	"net/netip"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is when everything in these tests begins.
var start = time.Date(2026, 11, 4, 3, 2, 1, 214_567_890, time.UTC)

func addr(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// record is a finished request, and its connection.
func record() (*conn.Conn, *stream.Stream) {
	c := conn.New(nil)
	c.Info = info.Conn{
		ID: 7, Start: start, End: start.Add(1500 * time.Millisecond), Listener: "in", FilterChain: "web",
		Source: addr("10.9.1.2:40001"), DirectSource: addr("10.9.1.9:40009"), Dest: addr("[2001:db8::1]:80"), Local: addr("[::ffff:127.0.0.1]:15001"),
		ServerName: []byte("a.example"), JA3: "ja3ja3", NameCheck: info.NameMatches, ECH: true, FirstSpeaker: "client", JA4: "t13d_ja4", TLSVersion: "TLSv1.3", TLSCipher: "TLS_AES_128_GCM_SHA256",
		TLSFailure: "TLS_error:|no such thing:TLS_error_end",
		PeerCertificate: &info.Certificate{
			Subject: "CN=client,O=Weir", Issuer: "CN=ca", Serial: "0aff", SHA256: "25625", SHA1: "11",
			URIs: []string{"spiffe://a", "spiffe://b"}, DNSNames: []string{"a.example"}, NotBefore: start, NotAfter: start.Add(time.Hour),
			Chain: [][]byte{{0xff, 0xfe, 0xfd, 0xfc}},
		},
		LocalCertificate: &info.Certificate{Subject: "CN=server", DNSNames: []string{"s.example"}},
		BytesReceived:    1000, BytesSent: 2000, Flags: info.NoRoute, Details: "filter_chain_not_found",
		UpstreamCluster: "tcp", UpstreamHost: addr("10.9.2.3:5432"), UpstreamLocal: addr("10.9.2.1:39999"),
	}
	s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
	s.Conn = c
	add(&s.Request, ":method", "GET", ":path", "/new?x=1&y=two&x=3", ":authority", "h.example",
		"x-envoy-original-path", "/old?z=9#f", "x-request-id", "211df2d0", "user-agent", "curl/7.88.1",
		"x-evil", "a\n\"b\\\x00\x1b\u00e9\xff", "x-empty", "", "content-type", "application/grpc+proto")
	add(&s.Response, ":status", "503", "x-envoy-upstream-service-time", "44", "grpc-status", "14")
	add(&s.ResponseTrailers, "grpc-status", "8", "x-sum", "abc")
	s.Info = info.Stream{
		NameCheck: info.NameMismatch,
		ID:        3, Protocol: info.HTTP11, UpstreamProtocol: info.HTTP2, Route: "r1", VirtualHost: "v1", Cluster: "a",
		UpstreamHost: addr("10.9.2.2:80"), UpstreamLocal: addr("10.9.2.1:40000"), Attempts: 2,
		Code: 503, Flags: info.UpstreamConnectionFailure | info.UpstreamRetryLimitExceeded,
		Details: "upstream_reset_before_response_started{connection failure}", UpstreamFailure: "connection refused",
		BytesReceived: 5, BytesSent: 1234567, RequestHeaderBytes: 80, ResponseHeaderBytes: 60,
		Start: start, RequestDone: start.Add(10 * time.Millisecond), UpstreamFirstByte: start.Add(40 * time.Millisecond),
		UpstreamDone: start.Add(90 * time.Millisecond), End: start.Add(100*time.Millisecond + 999*time.Microsecond),
	}
	return c, s
}

func add(h *header.Headers, nv ...string) {
	for i := 0; i < len(nv); i += 2 {
		h.AddRaw([]byte(nv[i]), []byte(nv[i+1]))
	}
}

// format reads a SubstitutionFormatString in YAML.
func format(t testing.TB, yaml string) *corev3.SubstitutionFormatString {
	t.Helper()
	m := new(corev3.SubstitutionFormatString)
	if _, err := yamlproto.Unmarshal([]byte(yaml), m, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	return m
}

func inline(text string) *corev3.SubstitutionFormatString {
	return &corev3.SubstitutionFormatString{Format: &corev3.SubstitutionFormatString_TextFormatSource{
		TextFormatSource: &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: text}},
	}}
}

// listOnly gathers the errors of one JSON value.
type listOnly struct{ fielderr.List }

func (listOnly) value(s string) *structpb.Value { return structpb.NewStringValue(s) }
