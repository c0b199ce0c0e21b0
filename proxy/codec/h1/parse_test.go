package h1

import (
	"bufio"
	"bytes"
	"net/http"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rules = &RequestRules{Limits: Limits{}.WithDefaults(), AcceptHTTP10: true}

// parsed is a request as far as two readings of it are compared.
type parsed struct {
	wire string
	body BodyKind
	n    int64
	keep bool
	size int
}

// parseOnce finds and parses the head at the front of b in one go.
func parseOnce(b []byte) (parsed, error) {
	var s scanner
	n, err := s.next(b, rules.MaxHead)
	if err != nil || n == 0 {
		return parsed{}, err
	}
	return parseHead(b[:n])
}

func parseHead(b []byte) (parsed, error) {
	var h header.Headers
	var m Message
	if err := parseRequest(b, &h, &m, rules); err != nil {
		return parsed{}, err
	}
	target := h.Value(header.Path)
	if m.Connect {
		target = h.Value(header.Authority)
	}
	w := appendFields(appendRequestLine(nil, h.Value(header.Method), target), &h)
	if m.Body == Chunked {
		w = append(w, "transfer-encoding: chunked\r\n"...)
	}
	if m.Upgrade {
		w = append(w, "connection: Upgrade\r\n"...)
	}
	return parsed{string(w) + "\r\n", m.Body, m.Length, m.KeepAlive, len(b)}, nil
}

// parseCut is parseOnce of bytes that come in two pieces.
func parseCut(b []byte, cut int) (parsed, error) {
	var s scanner
	for _, end := range []int{cut, len(b)} {
		n, err := s.next(b[:end], rules.MaxHead)
		if err != nil {
			return parsed{}, err
		}
		if n > 0 {
			return parseHead(b[:n])
		}
	}
	return parsed{}, nil
}

var requests = []string{
	"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /x?y=z HTTP/1.1\r\nhOst: a.test:80\r\nContent-Length: 5\r\nX:\t v \r\n\r\nhello",
	"PUT / HTTP/1.1\r\nHost: [::1]:8080\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET http://b.test/p HTTP/1.1\r\nHost: a\r\nConnection: close, x\r\nX: 1\r\n\r\n",
	"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
	"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
	"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nTE: trailers, gzip\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: :path\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
	"\x16\x03\x01",
}

func TestHeadCutAtEveryByte(t *testing.T) {
	for _, r := range requests {
		want, wantErr := parseOnce([]byte(r))
		for cut := range len(r) {
			got, err := parseCut([]byte(r), cut)
			if got != want || err != wantErr {
				t.Errorf("%q cut at %d: %v %v, want %v %v", r, cut, got, err, want, wantErr)
			}
		}
	}
}

// FuzzRequest holds that a request reads the same however it arrives, that what we
// write of it reads the same again, and that net/http, where it accepts the request
// too, sees the same message.
func FuzzRequest(f *testing.F) {
	for _, r := range requests {
		f.Add([]byte(r), uint16(7))
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16) {
		p, err := parseOnce(b)
		q, qerr := parseCut(b, int(at)%(len(b)+1))
		if (err == nil) != (qerr == nil) || p != q {
			t.Fatalf("whole: %v %v; cut: %v %v", p, err, q, qerr)
		}
		if err != nil || p.wire == "" {
			return
		}
		again, err := parseOnce([]byte(p.wire))
		if err != nil || again.wire != p.wire || again.body != p.body || again.n != p.n {
			t.Fatalf("%q became %q: %v", p.wire, again.wire, err)
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:p.size])))
		if err != nil {
			return
		}
		length := int64(0)
		switch p.body {
		case Chunked:
			length = -1
		case Length:
			length = p.n
		}
		if r.ContentLength != length {
			t.Fatalf("%q: length %d, net/http sees %d", b, length, r.ContentLength)
		}
	})
}

var responses = []string{
	"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	"HTTP/1.1 200\r\n\r\n",
	"HTTP/1.0 404 No\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
	"HTTP/1.1 101 Up\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n",
	"HTTP/1.1 200 OK\r\nConnection: :status\r\n\r\n",
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
	"HTTP/1.1 204 No\r\nContent-Length: 4\r\n\r\n",
}

// FuzzResponse holds the same of responses, and that a status is never lost.
func FuzzResponse(f *testing.F) {
	for _, r := range responses {
		f.Add([]byte(r), false)
	}
	lim := Limits{}.WithDefaults()
	f.Fuzz(func(t *testing.T, b []byte, head bool) {
		var s scanner
		n, err := s.next(b, lim.MaxHead)
		if err != nil || n == 0 {
			return
		}
		var h header.Headers
		var m Message
		if parseResponse(b[:n], &h, &m, &lim, head, false) != nil {
			return
		}
		if v := h.Value(header.Status); len(v) != 3 {
			t.Fatalf("%q: status %q", b, v)
		}
		w := append(appendFields(appendStatusLine(nil, h.Value(header.Status)), &h), "\r\n"...)
		var h2 header.Headers
		var m2 Message
		if err := parseResponse(w, &h2, &m2, &lim, head, false); err != nil || m2.Code != m.Code {
			t.Fatalf("%q became %q: %v", b, w, err)
		}
	})
}

// readChunked gives the body and trailers in b, fed in pieces of the given size.
func readChunked(b []byte, piece int) (body, trailers string, used int, err error) {
	var t header.Headers
	var r bodyReader
	r.start(&Message{Body: Chunked}, &t, &rules.Limits)
	from := 0
	for end := 0; ; {
		p, n, over, err := r.next(b[from:end])
		if err != nil {
			return "", "", 0, err
		}
		body += string(p)
		from += n
		if over {
			return body, string(appendFields(nil, &t)), from, nil
		}
		if len(p) > 0 || n > 0 && from < end {
			continue
		}
		if end == len(b) {
			return body, "", 0, nil
		}
		end = min(end+piece, len(b))
	}
}

// FuzzChunked holds that a chunked body is the same in whatever pieces it comes.
func FuzzChunked(f *testing.F) {
	for _, s := range []string{"5\r\nhello\r\n0\r\n\r\n", "3;a=b\r\nabc\r\n0\r\nX: 1\r\n\r\nGET", "x\r\n", "5\r\nhelloX", "0\r\nHost: a\r\n\r\n", "A\r\n0123456789\r\n00\r\n\r\n"} {
		f.Add([]byte(s), uint8(1))
	}
	f.Fuzz(func(t *testing.T, b []byte, piece uint8) {
		body, tr, used, err := readChunked(b, len(b)+1)
		body2, tr2, used2, err2 := readChunked(b, int(piece)+1)
		if (err == nil) != (err2 == nil) || err == nil && (body != body2 || tr != tr2 || used != used2) {
			t.Fatalf("whole: %q %q %d %v; in pieces: %q %q %d %v", body, tr, used, err, body2, tr2, used2, err2)
		}
		if used == 0 {
			return
		}
		w := appendChunkHead(nil, len(body))
		if body != "" {
			w = append(append(w, body...), "\r\n"...)
		} else {
			w = nil
		}
		w = append(w, "0\r\n"+tr+"\r\n"...)
		if b3, t3, n, err := readChunked(w, len(w)); err != nil || b3 != body || t3 != tr || n != len(w) {
			t.Fatalf("%q became %q %q: %v", w, b3, t3, err)
		}
	})
}

func TestNamesOfConnectionKeepTheStatus(t *testing.T) {
	var h header.Headers
	var m Message
	lim := Limits{}.WithDefaults()
	if err := parseResponse([]byte("HTTP/1.1 200 OK\r\nConnection: :status, x\r\nX: 1\r\nContent-Length: 0\r\n\r\n"), &h, &m, &lim, false, false); err != nil {
		t.Fatal(err)
	}
	if string(h.Value(header.Status)) != "200" || h.Has(header.Intern("x")) || m.Version != info.HTTP11 {
		t.Errorf("%q", appendFields(nil, &h))
	}
}
