package grpc

import (
	"math/rand/v2"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/header"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func head(kv ...string) *header.Headers {
	h := new(header.Headers)
	for i := 0; i < len(kv); i += 2 {
		h.AddString(header.Intern(kv[i]), kv[i+1])
	}
	return h
}

func TestIs(t *testing.T) {
	for ct, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc+": true,
		"application/grpc-web": false, "application/grpc;x=y": false, "application/grpcx": false,
		"application/json": false, "application/grp": false, "": false, "Application/grpc": false,
	} {
		if Is(head("content-type", ct)) != want {
			t.Errorf("%q: %v", ct, !want)
		}
	}
	if Is(head()) {
		t.Error("no content type")
	}
}

func TestServiceAndMethod(t *testing.T) {
	for path, want := range map[string][2]string{
		"/a.b.C/M": {"a.b.C", "M"}, "/s/m?q=/x": {"s", "m"},
		"": {}, "/": {}, "/s": {}, "/s/": {}, "//m": {}, "s/m": {}, "/s/m/": {}, "/s/m/n": {}, "*": {},
	} {
		s, m, ok := ServiceAndMethod([]byte(path))
		if ok != (want[0] != "") || ok && (string(s) != want[0] || string(m) != want[1]) {
			t.Errorf("%q: %q %q %v", path, s, m, ok)
		}
	}
}

func TestMessageIsPercentEncoded(t *testing.T) {
	for _, s := range []string{"", "plain text~", "100 %", "line\nline", "grüße", "\x00\x7f"} {
		b := AppendMessage(nil, s)
		for _, c := range b {
			if c < 0x20 || c > 0x7e {
				t.Errorf("%q: %q", s, b)
			}
		}
		if back, err := url.PathUnescape(string(b)); err != nil || back != s {
			t.Errorf("%q: %q: %q, %v", s, b, back, err)
		}
	}
	if got := string(AppendMessage(nil, "a b%\n")); got != "a b%25%0A" {
		t.Error(got)
	}
}

func TestStatus(t *testing.T) {
	for code, want := range map[int]Status{
		400: Internal, 401: Unauthenticated, 403: PermissionDenied, 404: Unimplemented,
		429: Unavailable, 502: Unavailable, 503: Unavailable, 504: Unavailable,
		200: Unknown, 408: Unknown, 413: Unknown, 500: Unknown, 501: Unknown,
	} {
		if got := OfHTTP(code); got != want {
			t.Errorf("%d: %v, want %v", code, got, want)
		}
	}
	for s, want := range map[Status]int{
		OK: 200, Canceled: 499, Unknown: 500, InvalidArgument: 400, DeadlineExceeded: 504, NotFound: 404, AlreadyExists: 409,
		PermissionDenied: 403, ResourceExhausted: 429, FailedPrecondition: 400, Aborted: 409, OutOfRange: 400, Unimplemented: 501,
		Internal: 500, Unavailable: 503, DataLoss: 500, Unauthenticated: 401, 17: 500, Invalid: 500,
	} {
		if got := s.HTTP(); got != want {
			t.Errorf("%v: %d, want %d", s, got, want)
		}
	}
	for v, want := range map[string]string{"0": "OK OK", "1": "Canceled CANCELLED", "16": "Unauthenticated UNAUTHENTICATED", "17": "17 17", "x": "InvalidCode InvalidCode", "": "InvalidCode InvalidCode", "-1": "InvalidCode InvalidCode", "1234567890": "InvalidCode InvalidCode"} {
		s, ok := In(head("grpc-status", v))
		if got := s.String() + " " + s.Snake(); !ok || got != want {
			t.Errorf("%q: %s %v", v, got, ok)
		}
	}
	for _, c := range []struct {
		head, trailers *header.Headers
		code           int
		want           Status
		ok             bool
	}{
		{head("grpc-status", "1"), head("grpc-status", "2"), 200, Unknown, true},
		{head("grpc-status", "1"), head(), 200, Canceled, true},
		{head(), head(), 503, Unavailable, true},
		{head(), head(), 0, 0, false},
	} {
		if s, ok := Of(c.head, c.trailers, c.code); ok != c.ok || ok && s != c.want {
			t.Errorf("%+v: %v %v", c, s, ok)
		}
	}
}

func TestTimeout(t *testing.T) {
	for v, want := range map[string]time.Duration{
		"1H": time.Hour, "2M": 2 * time.Minute, "3S": 3 * time.Second, "4m": 4 * time.Millisecond,
		"1u": time.Millisecond, "1000u": time.Millisecond, "1001u": 2 * time.Millisecond, "1n": time.Millisecond,
		"0m": 0, "0n": 0, "99999999S": 99999999 * time.Second,
		"": -1, "m": -1, "1": -1, "1s": -1, "-1m": -1, "123456789m": -1, "1 m": -1, "+1m": -1,
	} {
		d, ok := ParseTimeout([]byte(v))
		if !ok {
			d = -1
		}
		if d != want {
			t.Errorf("%q: %v, want %v", v, d, want)
		}
	}
	if d, ok := ParseTimeout([]byte("99999999H")); !ok || d < 290*365*24*time.Hour {
		t.Errorf("the longest timeout overflows: %v", d)
	}
	for d, want := range map[time.Duration]string{
		0: "0m", -1: "0m", time.Millisecond: "1m", time.Minute: "60000m", 99999999 * time.Millisecond: "99999999m",
		100000000 * time.Millisecond: "100000S", 100000000 * time.Second: "1666666M",
	} {
		if got := string(AppendTimeout(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestCounter: however a body is cut, it has the same number of messages.
func TestCounter(t *testing.T) {
	var body []byte
	for _, n := range []int{0, 1, 5, 300, 0} {
		body = append(append(body, 0, 0, 0, byte(n>>8), byte(n)), make([]byte, n)...)
	}
	for range 200 {
		var c Counter
		total := uint64(0)
		for p := body; len(p) > 0; {
			n := 1 + rand.IntN(min(len(p), 7))
			total += c.Count(p[:n])
			p = p[n:]
		}
		if total != 5 {
			t.Fatalf("%d messages", total)
		}
	}
	var c Counter
	if n := c.Count([]byte{0, 0xff, 0xff, 0xff, 0xff, 1}); n != 1 || c.left != 1<<32-2 {
		t.Error(n, c.left)
	}
}

func TestNothingIsAllocated(t *testing.T) {
	h, buf, path := head("content-type", "application/grpc", "grpc-status", "14"), make([]byte, 0, 64), []byte("/s/m")
	if n := testing.AllocsPerRun(100, func() {
		_, _ = In(h)
		_ = Is(h)
		_, _, _ = ServiceAndMethod(path)
		buf = AppendMessage(buf[:0], "a%b")
		buf = AppendTimeout(buf[:0], time.Second)
		_, _ = ParseTimeout(buf)
	}); n != 0 {
		t.Error(n)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("/s/m"), "100m")
	f.Fuzz(func(t *testing.T, b []byte, s string) {
		ServiceAndMethod(b)
		if d, ok := ParseTimeout([]byte(s)); ok {
			if back, ok := ParseTimeout(AppendTimeout(nil, d)); !ok || back > d {
				t.Errorf("%q: %v, and back: %v", s, d, back)
			}
		}
		var one, many Counter
		n := one.Count(b)
		for i := range b {
			n -= many.Count(b[i : i+1])
		}
		if n != 0 || one != many {
			t.Error("the count depends on the pieces")
		}
	})
}
