package accesslog

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// operatorTests has a line for each form of each operator: what it prints for
// the request of record, and for its connection alone.
var operatorTests = []struct{ format, request, connection string }{
	{"%REQ(:METHOD)%", "GET", "-"},
	{"%REQUEST_HEADER(User-Agent)%", "curl/7.88.1", "-"},
	{"%REQ(x-none?:authority)%", "h.example", "-"},
	{"%REQ(x-none?x-neither)%", "-", "-"},
	{"%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/old?z=9#f", "-"},
	{"%REQ(User-Agent):4%", "curl", "-"},
	{"%REQ(User-Agent):0%", "", "-"},
	{"%REQ(x-none):4%", "-", "-"},
	{"%REQ(x-empty)%", "", "-"},
	{"%REQ(x-evil)%", `a\n"b\` + `\x00\x1b` + "\u00e9\xff", "-"},
	{"%RESP(x-envoy-upstream-service-time)%", "44", "-"},
	{"%RESPONSE_HEADER(:status)%", "503", "-"},
	{"%TRAILER(x-sum)%", "abc", "-"},
	{"%RESPONSE_TRAILER(x-sum):2%", "ab", "-"},
	{"%PATH%", "/old?z=9#f", "-"},
	{"%PATH(NQ)%", "/old", "-"},
	{"%PATH(WQ:PATH)%", "/new?x=1&y=two&x=3", "-"},
	{"%PATH(NQ:ORIG):3%", "/ol", "-"},
	{"%PATH(NQ:ORIG_OR_PATH)%", "/old", "-"},
	{"%QUERY_PARAM(y)%", "two", "-"},
	{"%QUERY_PARAM(x)%", "1", "-"},
	{"%QUERY_PARAM(z)%", "-", "-"},
	{"%QUERY_PARAMS%", "z=9", "-"},
	{"%QUERY_PARAMS(PATH)%", "x=1&y=two&x=3", "-"},
	{"%START_TIME%", "2026-11-04T03:02:01.214Z", "2026-11-04T03:02:01.214Z"},
	{"%START_TIME(%Y/%m/%dT%H:%M:%S%z %s)%", "2026/11/04T03:02:01+0000 1793761321", "2026/11/04T03:02:01+0000 1793761321"},
	{"%START_TIME(%f %3f %6f %9f %1f %E2S)%", "214567890 214 214567 214567890 2 01.21", "214567890 214 214567 214567890 2 01.21"},
	{"%START_TIME(%e %j %y %C %b %B %a %A %p %I %k %l %u %Z %F %T %R %D %%)%", " 4 308 26 20 Nov November Wed Wednesday AM 03  3  3 3 UTC 2026-11-04 03:02:01 03:02 11/04/26 %", " 4 308 26 20 Nov November Wed Wednesday AM 03  3  3 3 UTC 2026-11-04 03:02:01 03:02 11/04/26 %"},
	{"%DURATION%", "100", "1500"},
	{"%REQUEST_DURATION%", "10", "-"},
	{"%RESPONSE_DURATION%", "40", "-"},
	{"%RESPONSE_TX_DURATION%", "60", "-"},
	{"%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%", "100999", "1500000"},
	{"%COMMON_DURATION(US_RX_BEG:US_RX_END:ns)%", "50000000", "-"},
	{"%COMMON_DURATION(DS_RX_END:US_RX_BEG:ms)%", "30", "-"},
	{"%COMMON_DURATION(US_RX_END:US_RX_BEG:ms)%", "-", "-"},
	{"%PROTOCOL%", "HTTP/1.1", "-"},
	{"%UPSTREAM_PROTOCOL%", "HTTP/2", "-"},
	{"%RESPONSE_CODE%", "503", "0"},
	{"%RESPONSE_CODE_DETAILS%", "upstream_reset_before_response_started{connection_failure}", "-"},
	{"%RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%", "upstream_reset_before_response_started{connection failure}", "-"},
	{"%RESPONSE_FLAGS%", "UF,URX", "NR"},
	{"%RESPONSE_FLAGS_LONG%", "UpstreamConnectionFailure,UpstreamRetryLimitExceeded", "NoRouteFound"},
	{"%CONNECTION_TERMINATION_DETAILS%", "filter_chain_not_found", "filter_chain_not_found"},
	{"%GRPC_STATUS%", "ResourceExhausted", "-"},
	{"%GRPC_STATUS(SNAKE_STRING)%", "RESOURCE_EXHAUSTED", "-"},
	{"%GRPC_STATUS(NUMBER)%", "8", "-"},
	{"%GRPC_STATUS_NUMBER%", "8", "-"},
	{"%ROUTE_NAME%", "r1", "-"},
	{"%ACCESS_LOG_TYPE%", "DownstreamEnd", "TcpConnectionEnd"},
	{"%BYTES_RECEIVED%", "5", "1000"},
	{"%BYTES_SENT%", "1234567", "2000"},
	{"%REQUEST_HEADERS_BYTES%", "80", "0"},
	{"%RESPONSE_HEADERS_BYTES%", "60", "0"},
	{"%RESPONSE_TRAILERS_BYTES%", "28", "0"},
	{"%DOWNSTREAM_REMOTE_ADDRESS%", "10.9.1.2:40001", "10.9.1.2:40001"},
	{"%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.9.1.2", "10.9.1.2"},
	{"%DOWNSTREAM_REMOTE_PORT%", "40001", "40001"},
	{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.9.1.9:40009", "10.9.1.9:40009"},
	{"%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.9.1.9", "10.9.1.9"},
	{"%DOWNSTREAM_DIRECT_REMOTE_PORT%", "40009", "40009"},
	{"%DOWNSTREAM_LOCAL_ADDRESS%", "[2001:db8::1]:80", "[2001:db8::1]:80"},
	{"%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "2001:db8::1", "2001:db8::1"},
	{"%DOWNSTREAM_LOCAL_PORT%", "80", "80"},
	{"%DOWNSTREAM_DIRECT_LOCAL_ADDRESS%", "127.0.0.1:15001", "127.0.0.1:15001"},
	{"%DOWNSTREAM_DIRECT_LOCAL_ADDRESS_WITHOUT_PORT%", "127.0.0.1", "127.0.0.1"},
	{"%DOWNSTREAM_DIRECT_LOCAL_PORT%", "15001", "15001"},
	{"%DOWNSTREAM_TLS_VERSION%", "TLSv1.3", "TLSv1.3"},
	{"%DOWNSTREAM_TLS_CIPHER%", "TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
	{"%DOWNSTREAM_PEER_SUBJECT%", "CN=client,O=Weir", "CN=client,O=Weir"},
	{"%DOWNSTREAM_PEER_ISSUER%", "CN=ca", "CN=ca"},
	{"%DOWNSTREAM_PEER_SERIAL%", "0aff", "0aff"},
	{"%DOWNSTREAM_PEER_FINGERPRINT_256%", "25625", "25625"},
	{"%DOWNSTREAM_PEER_FINGERPRINT_1%", "11", "11"},
	{"%DOWNSTREAM_PEER_CERT%", "-----BEGIN%20CERTIFICATE-----%0A%2F%2F79%2FA%3D%3D%0A-----END%20CERTIFICATE-----%0A", "-----BEGIN%20CERTIFICATE-----%0A%2F%2F79%2FA%3D%3D%0A-----END%20CERTIFICATE-----%0A"},
	{"%DOWNSTREAM_PEER_CERT_V_START%", "2026-11-04T03:02:01.000Z", "2026-11-04T03:02:01.000Z"},
	{"%DOWNSTREAM_PEER_CERT_V_END(%Y)%", "2026", "2026"},
	{"%DOWNSTREAM_PEER_URI_SAN%", "spiffe://a,spiffe://b", "spiffe://a,spiffe://b"},
	{"%DOWNSTREAM_PEER_DNS_SAN%", "a.example", "a.example"},
	{"%DOWNSTREAM_PEER_IP_SAN%", "-", "-"},
	{"%DOWNSTREAM_PEER_EMAIL_SAN%", "-", "-"},
	{"%DOWNSTREAM_LOCAL_SUBJECT%", "CN=server", "CN=server"},
	{"%DOWNSTREAM_LOCAL_URI_SAN%", "-", "-"},
	{"%DOWNSTREAM_LOCAL_DNS_SAN%", "s.example", "s.example"},
	{"%DOWNSTREAM_LOCAL_IP_SAN%", "-", "-"},
	{"%DOWNSTREAM_LOCAL_EMAIL_SAN%", "-", "-"},
	{"%DOWNSTREAM_TLS_SESSION_ID%", "-", "-"},
	{"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%", "TLS_error:|no_such_thing:TLS_error_end", "TLS_error:|no_such_thing:TLS_error_end"},
	{"%DYNAMIC_METADATA(weir.sniffing:name_check)%", "mismatch", "match"},
	{"%DYNAMIC_METADATA(weir.sniffing:name_check):3%", "mis", "mat"},
	{"%DYNAMIC_METADATA(weir.sniffing:ech)%", "outer", "outer"},
	{"%DYNAMIC_METADATA(weir.sniffing:first_speaker)%", "client", "client"},
	{"%DYNAMIC_METADATA(weir.sniffing:server_protocol)%", "-", "-"},
	{"%DYNAMIC_METADATA(weir.sniffing:note)%", "-", "-"},
	{"%TLS_JA3_FINGERPRINT%", "ja3ja3", "ja3ja3"},
	{"%TLS_JA4_FINGERPRINT%", "t13d_ja4", "t13d_ja4"},
	{"%REQUESTED_SERVER_NAME%", "a.example", "a.example"},
	{"%CONNECTION_ID%", "7", "7"},
	{"%LISTENER_NAME%", "in", "in"},
	{"%FILTER_CHAIN_NAME%", "web", "web"},
	{"%UPSTREAM_HOST%", "10.9.2.2:80", "10.9.2.3:5432"},
	{"%UPSTREAM_REMOTE_ADDRESS%", "10.9.2.2:80", "10.9.2.3:5432"},
	{"%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.9.2.2", "10.9.2.3"},
	{"%UPSTREAM_REMOTE_PORT%", "80", "5432"},
	{"%UPSTREAM_LOCAL_ADDRESS%", "10.9.2.1:40000", "10.9.2.1:39999"},
	{"%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%", "10.9.2.1", "10.9.2.1"},
	{"%UPSTREAM_LOCAL_PORT%", "40000", "39999"},
	{"%UPSTREAM_CLUSTER%", "a", "tcp"},
	{"%UPSTREAM_CLUSTER_RAW%", "a", "tcp"},
	{"%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2", "0"},
	{"%UPSTREAM_TRANSPORT_FAILURE_REASON%", "connection refused", "-"},
	{"%STREAM_ID%", "211df2d0", "-"},
	{"%ENVIRONMENT(WEIR_TEST_LOG)%", "from the environment", "from the environment"},
	{"%ENVIRONMENT(WEIR_TEST_LOG):4%", "from", "from"},
	{"%ENVIRONMENT(WEIR_TEST_NONE)%", "-", "-"},
	{"50%% %PROTOCOL%%%", "50% HTTP/1.1%", "50% -%"},
	{"plain", "plain", "plain"},
	{"", "", ""},
}

func TestOperators(t *testing.T) {
	t.Setenv("WEIR_TEST_LOG", "from the environment")
	c, s := record()
	tried := map[string]bool{"HOSTNAME": true, "UNIQUE_ID": true, "EMIT_TIME": true, "EMIT_TIME_LOCAL": true, "START_TIME_LOCAL": true}
	for _, x := range operatorTests {
		f, err := ParseFormat(inline(x.format), Default)
		if err != nil {
			t.Errorf("%s: %v", x.format, err)
			continue
		}
		if got := string(f.Append(nil, c, s)); got != x.request {
			t.Errorf("%s: %q, wanted %q", x.format, got, x.request)
		}
		if got := string(f.Append(nil, c, nil)); got != x.connection {
			t.Errorf("%s of a connection: %q, wanted %q", x.format, got, x.connection)
		}
		for _, m := range regexp.MustCompile(`%([A-Z_0-9]+)`).FindAllStringSubmatch(x.format, -1) {
			tried[m[1]] = true
		}
	}
	for name := range operators {
		if !tried[name] {
			t.Errorf("%s has no test", name)
		}
	}
}

func TestOperatorsThatDiffer(t *testing.T) {
	c, s := record()
	one := func(format string) string {
		f, err := ParseFormat(inline(format), Default)
		if err != nil {
			t.Fatal(err)
		}
		return string(f.Append(nil, c, s))
	}
	if h, err := os.Hostname(); err != nil || one("%HOSTNAME%") != h {
		t.Errorf("HOSTNAME %q, wanted %q (%v)", one("%HOSTNAME%"), h, err)
	}
	a, b := one("%UNIQUE_ID%"), one("%UNIQUE_ID%")
	if ok, _ := regexp.MatchString(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`, a); !ok || a == b {
		t.Errorf("UNIQUE_ID %q, then %q", a, b)
	}
	before := time.Now().UnixMilli()
	if got := one("%EMIT_TIME(%s%3f)%"); len(got) != 13 || got < itoa(before) || got > itoa(time.Now().UnixMilli()) {
		t.Errorf("EMIT_TIME %q at about %d", got, before)
	}
	if got, want := one("%START_TIME_LOCAL(%Y-%m-%dT%H:%M:%S%z)%"), start.Local().Format("2006-01-02T15:04:05-0700"); got != want {
		t.Errorf("START_TIME_LOCAL %q, wanted %q", got, want)
	}
	if one("%EMIT_TIME_LOCAL(%Z)%") != time.Now().Format("MST") {
		t.Errorf("EMIT_TIME_LOCAL %q", one("%EMIT_TIME_LOCAL(%Z)%"))
	}
}

func itoa(n int64) string { return string(padded(nil, int(n), 1, '0')) }

func TestRefusedOperators(t *testing.T) {
	for _, x := range []struct{ format, want string }{
		{"%NOPE%", "Not supported field in StreamInfo: NOPE"},
		{"%TRACE_ID%", "valid in Envoy, not supported here: TRACE_ID"},
		{"%DYNAMIC_METADATA(a:b)%", "DYNAMIC_METADATA: valid in Envoy, not supported here: namespace a (supported: weir.sniffing)"},
		{"%DYNAMIC_METADATA(weir.sniffing:x)%", "DYNAMIC_METADATA: unknown key of weir.sniffing, wanted one of name_check, ech, first_speaker, server_protocol, note"},
		{"%DOWNSTREAM_PEER_CHAIN_SERIALS%", "valid in Envoy, not supported here: DOWNSTREAM_PEER_CHAIN_SERIALS"},
		{"%UPSTREAM_WIRE_BYTES_SENT%", "valid in Envoy, not supported here: UPSTREAM_WIRE_BYTES_SENT"},
		{"%REQ%", "REQ requires parameters"},
		{"%QUERY_PARAM%", "QUERY_PARAM requires parameters"},
		{"%ENVIRONMENT%", "ENVIRONMENT requires parameters"},
		{"%COMMON_DURATION%", "COMMON_DURATION requires parameters"},
		{"%PROTOCOL(x)%", "PROTOCOL does not take any parameters or length"},
		{"%BYTES_SENT:5%", "BYTES_SENT does not take any parameters or length"},
		{"%START_TIME(%Y):5%", "START_TIME does not allow length to be specified."},
		{"%REQ(a?b?c)%", "REQ: more than 1 alternative header specified"},
		{"%REQ(a b)%", "REQ: invalid header configuration"},
		{"%COMMON_DURATION(DS_RX_BEG:DS_RX_END)%", "COMMON_DURATION: invalid common duration configuration: DS_RX_BEG:DS_RX_END"},
		{"%COMMON_DURATION(DS_RX_BEG:DS_RX_END:h)%", "COMMON_DURATION: invalid common duration precision: h"},
		{"%COMMON_DURATION(US_CX_BEG:DS_RX_END:ms)%", "COMMON_DURATION: valid in Envoy, not supported here: time point US_CX_BEG"},
		{"%COMMON_DURATION(DS_RX_BEG:X:ms)%", `COMMON_DURATION: unknown time point "X"`},
		{"%PATH(XQ)%", `PATH: invalid query option "XQ"`},
		{"%PATH(WQ:X)%", `PATH: invalid path option "X"`},
		{"%GRPC_STATUS(X)%", "GRPC_STATUS: unknown format"},
		{"%RESPONSE_CODE_DETAILS(X)%", "RESPONSE_CODE_DETAILS: unknown argument"},
		{"%START_TIME(%Q)%", "START_TIME: invalid time format: unknown verb %Q"},
		{"100%", "incorrect configuration: 100%: no valid command at position 3"},
		{"%REQ(a%", "no valid command at position 0"},
		{"%REQ(a):x%", "no valid command at position 0"},
		{"%req(a)%", "no valid command at position 0"},
		{"%REQ(a):99999999999999999999%", "no valid command at position 0"},
	} {
		_, err := ParseFormat(inline(x.format), Default)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, wanted %q in it", x.format, err, x.want)
		}
	}
}

// TestListsDoNotOverlap: what is here is not said to be elsewhere.
func TestListsDoNotOverlap(t *testing.T) {
	for name := range operators {
		if elsewhere(name) {
			t.Errorf("%s is on both lists", name)
		}
	}
	l := slices.Clone(envoyOnly)
	slices.Sort(l)
	if n := len(slices.Compact(l)); n != len(envoyOnly) {
		t.Errorf("%d names twice", len(envoyOnly)-n)
	}
}

func TestGrpcStatus(t *testing.T) {
	c := conn.New(nil)
	for _, x := range []struct {
		contentType, trailer, head string
		code                       int
		want                       string
	}{
		{"application/grpc", "0", "", 200, "OK/OK/0"},
		{"application/grpc", "", "5", 200, "NotFound/NOT_FOUND/5"},
		{"application/grpc+x", "99", "", 200, "99/99/99"},
		{"application/grpc", "x", "", 200, "InvalidCode/InvalidCode/InvalidCode"},
		{"application/grpc", "", "", 503, "Unavailable/UNAVAILABLE/14"},
		{"application/grpc", "", "", 404, "Unimplemented/UNIMPLEMENTED/12"},
		{"application/grpc", "", "", 200, "Unknown/UNKNOWN/2"},
		{"application/grpc", "", "", 0, "-/-/-"},
		{"application/grpc-web", "0", "", 200, "-/-/-"},
		{"application/grpc;x", "0", "", 200, "-/-/-"}, // no gRPC to Envoy either
		{"text/plain", "0", "", 200, "-/-/-"},
	} {
		s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
		add(&s.Request, "content-type", x.contentType)
		if x.trailer != "" {
			add(&s.ResponseTrailers, "grpc-status", x.trailer)
		}
		if x.head != "" {
			add(&s.Response, "grpc-status", x.head)
		}
		s.Info.Code = x.code
		f, err := ParseFormat(inline("%GRPC_STATUS%/%GRPC_STATUS(SNAKE_STRING)%/%GRPC_STATUS_NUMBER%"), Default)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append(nil, c, s)); got != x.want {
			t.Errorf("%+v: %s", x, got)
		}
	}
}
