package fields

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// block compresses "name: value" lines as a peer does that knows no rules.
func block(lines ...string) []byte {
	var b bytes.Buffer
	e := hpack.NewEncoder(&b)
	for _, l := range lines {
		i := strings.Index(l[1:], ": ") + 1
		_ = e.WriteField(hpack.HeaderField{Name: l[:i], Value: l[i+2:]})
	}
	return b.Bytes()
}

func text(h *header.Headers) string {
	var b strings.Builder
	for i := range h.Len() {
		n, v := h.At(i)
		fmt.Fprintf(&b, "%s: %s\n", n, v)
	}
	return b.String()
}

var get = []string{":method: GET", ":scheme: http", ":authority: a.test", ":path: /"}

func with(more ...string) []string { return append(append([]string(nil), get...), more...) }

func TestRequestsThatBreakARule(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  error
	}{
		{"nothing", nil, ErrPseudoMissing},
		{"no method", get[1:], ErrPseudoMissing},
		{"no scheme", []string{":method: GET", ":authority: a", ":path: /"}, ErrPseudoMissing},
		{"no path", get[:3], ErrPseudoMissing},
		{"empty path", []string{":method: GET", ":scheme: http", ":authority: a", ":path: "}, ErrPath},
		{"path without slash", []string{":method: GET", ":scheme: http", ":authority: a", ":path: x"}, ErrPath},
		{"star for GET", []string{":method: GET", ":scheme: http", ":authority: a", ":path: *"}, ErrPath},
		{"fragment", []string{":method: GET", ":scheme: http", ":authority: a", ":path: /#x"}, ErrPath},
		{"no authority", []string{":method: GET", ":scheme: http", ":path: /"}, ErrHostMissing},
		{"userinfo", []string{":method: GET", ":scheme: http", ":authority: u@a", ":path: /"}, ErrHost},
		{"empty authority", []string{":method: GET", ":scheme: http", ":authority: ", ":path: /"}, ErrHost},
		{"bad method", []string{":method: G T", ":scheme: http", ":authority: a", ":path: /"}, ErrMethod},
		{"bad scheme", []string{":method: GET", ":scheme: 1http", ":authority: a", ":path: /"}, ErrScheme},
		{"method twice", append([]string{":method: GET"}, get...), ErrPseudoTwice},
		{"path twice", with(":path: /x"), ErrPseudoTwice},
		{"unknown pseudo", with(":x: y"), ErrPseudo},
		{"status in a request", with(":status: 200"), ErrPseudo},
		{"late pseudo", []string{":method: GET", "a: b", ":scheme: http", ":authority: a", ":path: /"}, ErrPseudoLate},
		{"upper case", with("A: b"), ErrName},
		{"space in name", with("a b: c"), ErrName},
		{"colon in name", with("a:b: c"), ErrName},
		{"NUL", with("a: b\x00"), ErrValue},
		{"LF", with("a: b\nc: d"), ErrValue},
		{"CR", with("a: b\rc"), ErrValue},
		{"leading space", with("a:  b"), ErrValue},
		{"trailing tab", with("a: b\t"), ErrValue},
		{"connection", with("connection: close"), ErrHop},
		{"keep-alive", with("keep-alive: x"), ErrHop},
		{"proxy-connection", with("proxy-connection: x"), ErrHop},
		{"transfer-encoding", with("transfer-encoding: chunked"), ErrHop},
		{"upgrade", with("upgrade: h2c"), ErrHop},
		{"te", with("te: gzip"), ErrTE},
		{"te more", with("te: trailers, gzip"), ErrTE},
		{"length", with("content-length: +1"), ErrLength},
		{"lengths", with("content-length: 1", "content-length: 2"), ErrLength},
		{"expectation", with("expect: miracles"), ErrExpect},
		{"other host", with("host: b.test"), ErrHostDiffers},
		{"hosts", with("host: a.test", "host: a.test"), ErrHostDiffers},
		{"CONNECT with path", []string{":method: CONNECT", ":authority: a:1", ":path: /"}, ErrConnect},
		{"CONNECT with scheme", []string{":method: CONNECT", ":authority: a:1", ":scheme: http"}, ErrConnect},
		{"CONNECT without port", []string{":method: CONNECT", ":authority: a"}, ErrConnect},
		{"protocol without CONNECT", with(":protocol: websocket"), ErrProtocol},
		{"extended CONNECT without path", []string{":method: CONNECT", ":authority: a", ":scheme: http", ":protocol: websocket"}, ErrPseudoMissing},
		{"too many", with("a: 1", "b: 2", "c: 3", "d: 4", "e: 5", "f: 6"), ErrCount},
		{"too large", with("a: " + strings.Repeat("x", 5000)), ErrSize},
	} {
		d := NewDecoder(4096)
		var h header.Headers
		var m Message
		lim := &Limits{MaxListSize: 4096, MaxCount: 9}
		if err := d.Request(block(c.lines...), &h, lim, &m); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		// The connection goes on.
		h.Reset()
		if err := d.Request(block(get...), &h, lim, &m); err != nil {
			t.Errorf("%s: the next request: %v", c.name, err)
		}
	}
}

func TestRequestsThatAreTaken(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string
		msg   Message
	}{
		{"get", get, ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\n", Message{ContentLength: -1, Fields: 4}},
		{"host alone", []string{":method: HEAD", ":scheme: http", ":path: /", "host: a"}, ":method: HEAD\n:scheme: http\n:path: /\n:authority: a\n", Message{Head: true, ContentLength: -1, Fields: 4}},
		{"equal host", with("host: a.test", "te: trailers"), ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\nte: trailers\n", Message{ContentLength: -1, Fields: 6}},
		{"crumbs", with("cookie: a=1", "x: y", "cookie: b=2"), ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\ncookie: a=1; b=2\nx: y\n", Message{ContentLength: -1, Fields: 7}},
		{"one length", with("content-length: 3", "content-length: 3", "expect: 100-continue"), ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\ncontent-length: 3\nexpect: 100-continue\n", Message{ContentLength: 3, Expect: true, Fields: 7}},
		{"connect", []string{":method: CONNECT", ":authority: a:1"}, ":method: CONNECT\n:authority: a:1\n:path: \n", Message{Connect: true, ContentLength: -1, Fields: 2}},
		{"websocket", []string{":method: CONNECT", ":protocol: websocket", ":scheme: http", ":authority: a", ":path: /"}, ":method: CONNECT\n:protocol: websocket\n:scheme: http\n:authority: a\n:path: /\n", Message{Connect: true, Protocol: true, ContentLength: -1, Fields: 5}},
		{"options", []string{":method: OPTIONS", ":scheme: http", ":authority: a", ":path: *"}, ":method: OPTIONS\n:scheme: http\n:authority: a\n:path: *\n", Message{ContentLength: -1, Fields: 4}},
		{"underscore", with("a_b: c", "d: e"), ":method: GET\n:scheme: http\n:authority: a.test\n:path: /\nd: e\n", Message{ContentLength: -1, Fields: 6, Dropped: 1}},
	} {
		var h header.Headers
		var m Message
		if err := NewDecoder(4096).Request(block(c.lines...), &h, &Limits{MaxListSize: 4096, Underscores: DropUnderscores}, &m); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := text(&h); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", c.name, got, c.want)
		}
		for _, l := range c.lines {
			c.msg.Size += len(l) - len(": ")
		}
		if m != c.msg {
			t.Errorf("%s: %+v, want %+v", c.name, m, c.msg)
		}
	}
}

func TestResponsesAndTrailers(t *testing.T) {
	for _, c := range []struct {
		lines []string
		want  error
	}{
		{[]string{":status: 200", "a: b"}, nil},
		{[]string{"a: b"}, ErrPseudoMissing},
		{[]string{":status: 101"}, ErrStatus},
		{[]string{":status: 2000"}, ErrStatus},
		{[]string{":status: 2x0"}, ErrStatus},
		{[]string{":status: 200", ":path: /"}, ErrPseudo},
		{[]string{":status: 200", "upgrade: x"}, ErrHop},
	} {
		var h header.Headers
		var m Message
		if err := NewDecoder(4096).Response(block(c.lines...), &h, &Limits{MaxListSize: 4096}, &m); !errors.Is(err, c.want) {
			t.Errorf("%q: %v, want %v", c.lines, err, c.want)
		}
	}
	for _, c := range []struct {
		lines []string
		want  error
	}{
		{[]string{"grpc-status: 0", "x: y"}, nil},
		{[]string{":status: 200"}, ErrPseudoTrailer},
		{[]string{"content-length: 1"}, ErrTrailer},
		{[]string{"host: a"}, ErrTrailer},
		{[]string{"te: trailers"}, ErrTrailer},
		{[]string{"connection: x"}, ErrHop},
	} {
		var h header.Headers
		var m Message
		if err := NewDecoder(4096).Trailers(block(c.lines...), &h, &Limits{MaxListSize: 4096}, &m); !errors.Is(err, c.want) {
			t.Errorf("trailers %q: %v, want %v", c.lines, err, c.want)
		}
	}
	if err := NewDecoder(4096).Discard([]byte{0x80}); !errors.Is(err, ErrCompression) {
		t.Errorf("index 0: %v", err)
	}
}

// upstreamRequest is a request as a proxy sends many of.
func upstreamRequest(id string) *header.Headers {
	h := new(header.Headers)
	for _, f := range [][2]string{
		{"Host", "a.test"},
		{"User-Agent", "curl/8"},
		{"accept", "*/*"},
		{"x-forwarded-for", "10.0.0.1"},
		{"x-forwarded-proto", "http"},
		{"x-request-id", id},
		{"Connection", "close"},
		{"te", "gzip"},
		{"authorization", "Bearer x"},
	} {
		h.AddRaw([]byte(f[0]), []byte(f[1]))
	}
	h.AddString(header.Method, "GET")
	h.AddString(header.Path, "/x")
	return h
}

func TestEncoderSendsWhatMayBeSent(t *testing.T) {
	e, d := NewEncoder(4096), NewDecoder(4096)
	want := ":method: GET\n:scheme: http\n:authority: a.test\n:path: /x\nuser-agent: curl/8\naccept: */*\n" +
		"x-forwarded-for: 10.0.0.1\nx-forwarded-proto: http\nx-request-id: %s\nauthorization: Bearer x\n"
	last := 0
	for i := range 5 {
		if i == 3 {
			e.SetPeerTableSize(0) // the table is emptied, and told so first
			e.SetPeerTableSize(4096)
		}
		id := fmt.Sprintf("id-%d", i)
		b := e.Append([]byte("before"), upstreamRequest(id), Request)
		if !bytes.HasPrefix(b, []byte("before")) {
			t.Fatal("dst was overwritten")
		}
		var h header.Headers
		var m Message
		if err := d.Request(b[6:], &h, &Limits{MaxListSize: 4096}, &m); err != nil {
			t.Fatal(i, err)
		}
		if got := text(&h); got != fmt.Sprintf(want, id) {
			t.Errorf("%d: got\n%s", i, got)
		}
		last = len(b) - 6
	}
	if last > 60 {
		t.Errorf("the fifth request takes %d bytes: it is hardly compressed", last)
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools drop things at random under the race detector")
	}
	e, d := NewEncoder(4096), NewDecoder(4096)
	h := upstreamRequest("same-id")
	var out header.Headers
	var m Message
	buf := make([]byte, 0, 1024)
	lim := &Limits{MaxListSize: 4096}
	h.Del(header.Intern("authorization")) // never in a table: its value is a new string each time
	once := func() {
		b := e.Append(buf, h, Request)
		out.Reset()
		if err := d.Request(b, &out, lim, &m); err != nil {
			t.Fatal(err)
		}
	}
	for range 5 {
		once()
	}
	if n := testing.AllocsPerRun(200, once); n != 0 {
		t.Errorf("%v allocations for a request whose fields are all known", n)
	}
	crumbs := block(with("cookie: a=1", "cookie: b=2", "cookie: c=3")...)
	cookies := NewDecoder(4096)
	bite := func() {
		out.Reset()
		if err := cookies.Request(crumbs, &out, lim, &m); err != nil || string(out.Value(header.Cookie)) != "a=1; b=2; c=3" {
			t.Fatal(err, text(&out))
		}
	}
	for range 5 {
		bite()
	}
	if n := testing.AllocsPerRun(200, bite); n != 0 {
		t.Errorf("%v allocations for a cookie in crumbs", n)
	}
	resp := new(header.Headers)
	resp.AddString(header.Status, "200")
	resp.AddString(header.ContentType, "text/plain")
	i := 0
	ids := [8][]byte{}
	for k := range ids {
		ids[k] = fmt.Appendf(nil, "random-%d-%d", k*7919, k)
	}
	if n := testing.AllocsPerRun(200, func() {
		i++
		resp.Set(header.XRequestID, ids[i%len(ids)])
		e.Append(buf, resp, Response)
	}); n > 0 {
		t.Errorf("%v allocations to encode a response", n)
	}
}

func TestWebSocketBetweenTheVersions(t *testing.T) {
	var h header.Headers
	h.AddString(header.Method, "CONNECT")
	h.AddString(header.Protocol, "websocket")
	h.AddString(header.Path, "/chat")
	key := NewKey()
	ToUpgrade(&h, key)
	if string(h.Value(header.Method)) != "GET" || string(h.Value(header.Upgrade)) != "websocket" || h.Has(header.Protocol) {
		t.Error(text(&h))
	}
	if got := ToExtendedConnect(&h); string(got) != key || string(h.Value(header.Protocol)) != "websocket" || h.Has(header.Upgrade) {
		t.Error(text(&h))
	}
	// RFC 6455 §1.3's example.
	if got := Accept("dGhlIHNhbXBsZSBub25jZQ=="); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Error(got)
	}
	var r header.Headers
	r.AddString(header.Status, "200")
	Upgraded(&r, []byte("websocket"), []byte(key))
	if string(r.Value(header.Status)) != "101" || !Accepts(&r, key) || Accepts(&r, NewKey()) || !Accepts(&r, "") {
		t.Error(text(&r))
	}
	Connected(&r)
	if text(&r) != ":status: 200\n" {
		t.Error(text(&r))
	}
}

func FuzzBlock(f *testing.F) {
	f.Add(block(get...))
	f.Add(block(with("cookie: a", "cookie: b", "te: trailers")...))
	f.Add(block(":status: 200", "a: b"))
	f.Add([]byte{0x3f, 0xe1, 0x1f, 0x82})
	f.Fuzz(func(t *testing.T, b []byte) {
		lim := &Limits{MaxListSize: 4096, MaxCount: 100}
		for k := Request; k <= Trailers; k++ {
			d := NewDecoder(4096)
			var h, again header.Headers
			var m, n Message
			var err error
			switch k {
			case Request:
				err = d.Request(b, &h, lim, &m)
			case Response:
				err = d.Response(b, &h, lim, &m)
			default:
				err = d.Trailers(b, &h, lim, &m)
			}
			var pe *codec.ProtocolError
			if err != nil {
				if !errors.As(err, &pe) && !errors.Is(err, ErrCompression) {
					t.Fatalf("%T %v", err, err)
				}
				continue
			}
			if k == Trailers && h.Len() == 0 {
				continue
			}
			// What was taken can be sent on and means the same.
			out := NewEncoder(4096).Append(nil, &h, k)
			d = NewDecoder(4096)
			switch k {
			case Request:
				err = d.Request(out, &again, &Limits{MaxListSize: 1 << 20}, &n)
			case Response:
				err = d.Response(out, &again, &Limits{MaxListSize: 1 << 20}, &n)
			default:
				err = d.Trailers(out, &again, &Limits{MaxListSize: 1 << 20}, &n)
			}
			if err != nil || again.Len() != h.Len() {
				t.Fatalf("%d: sent on: %v\n%s---\n%s", k, err, text(&h), text(&again))
			}
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	e, d := NewEncoder(4096), NewDecoder(4096)
	h := upstreamRequest("id")
	var out header.Headers
	var m Message
	buf := make([]byte, 0, 1024)
	lim := &Limits{MaxListSize: 4096}
	b.ReportAllocs()
	for b.Loop() {
		p := e.Append(buf, h, Request)
		out.Reset()
		_ = d.Request(p, &out, lim, &m)
	}
}
