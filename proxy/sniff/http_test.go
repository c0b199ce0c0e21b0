package sniff

import (
	"strings"
	"testing"
)

func TestHTTP(t *testing.T) {
	long := strings.Repeat("x", 70<<10)
	for _, tc := range []struct {
		name  string
		in    string
		want  Status
		proto Protocol
		err   string
		known int // bytes that settle it, 0 for all
	}{
		{"1.1", "GET / HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"1.1 and more", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Match, HTTP11, "", 16},
		{"1.0", "HEAD /a?b#c HTTP/1.0\r\n", Match, HTTP10, "", 0},
		{"bare LF", "GET / HTTP/1.1\n", Match, HTTP11, "", 0},
		{"unknown method", "M-SEARCH * HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"method in lower case", "get / HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"long method", long[:9000] + " / HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"absolute form", "GET http://example.com/ HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"absolute form without path", "GET HTTPS+x://[::1]:8 HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"asterisk form", "OPTIONS * HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"asterisk with path", "GET *x HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"authority form", "CONNECT example.com:443 HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"authority form with address", "CONNECT [::1]:443 HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"long target", "GET /" + long[:60<<10] + " HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"preface", preface, Match, H2C, "", 0},
		{"preface and more", preface + "\x00\x00\x00\x04\x00", Match, H2C, "", 24},
		{"PRI is a method too", "PRI * HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"PRIVATE too", "PRIVATE /x HTTP/1.0\r\n", Match, HTTP10, "", 0},

		{"two spaces", "GET  / HTTP/1.1\r\n", Match, HTTP11, "", 0},
		{"all kinds of space", "GET\t\v/\f\rHTTP/1.1\r \r\n", Match, HTTP11, "", 0},
		{"trailing space", "GET / HTTP/1.1 \r\n", Match, HTTP11, "", 0},
		{"no version", "GET /\r\n", Match, HTTP10, "", 0},
		{"no version, space", "GET / \n", Match, HTTP10, "", 0},
		{"CONNECT without version", "CONNECT a:1\r\n", Match, HTTP10, "", 0},
		{"0.9", "GET / HTTP/0.9\r\n", Match, HTTP10, "", 0},
		{"1.2", "GET / HTTP/1.2\r\n", Match, HTTP10, "", 0},
		{"2.0", "GET / HTTP/2.0\r\n", Match, HTTP10, "", 0},
		{"2.1", "GET / HTTP/2.1\r\n", Match, HTTP10, "", 0},
		{"preface gone wrong", "PRI * HTTP/2.0\r\n\r\nXX", Match, HTTP10, "", 19},

		{"empty line", "\r\nGET / HTTP/1.1\r\n", NoMatch, "", "", 1},
		{"leading space", " GET / HTTP/1.1\r\n", NoMatch, "", "", 1},
		{"TLS", "\x16\x03\x01\x02", NoMatch, "", "", 1},
		{"SSH", "SSH-2.0-OpenSSH_9.2\r\n", NoMatch, "", "", 21},
		{"SSH with a comment", "SSH-2.0-OpenSSH_9.2 Debian-2\r\n", NoMatch, "", "", 29},
		{"SMTP", "EHLO client.test\r\n", NoMatch, "", "", 17},
		{"AMQP", "AMQP\x00\x00\x09\x01", NoMatch, "", "", 5},
		{"redis", "*1\r\n$4\r\nPING\r\n", NoMatch, "", "", 4},
		{"response", "HTTP/1.1 200 OK\r\n", NoMatch, "", "", 5},
		{"method alone", "GET\r\n", NoMatch, "", "", 5},
		{"space in target", "GET /a b HTTP/1.1\r\n", NoMatch, "", "", 8},
		{"8-bit target", "GET /\xff HTTP/1.1\r\n", NoMatch, "", "", 6},
		{"target is no form", "GET index.html HTTP/1.1\r\n", NoMatch, "", "", 15},
		{"host without CONNECT", "GET a.test:80 HTTP/1.1\r\n", NoMatch, "", "", 12},
		{"icap", "REQMOD icap://a/b ICAP/1.0\r\n", NoMatch, "", "", 19},
		{"rtsp", "OPTIONS rtsp://a/b RTSP/1.0\r\n", NoMatch, "", "", 20},
		{"sip", "INVITE sip:a@b SIP/2.0\r\n", NoMatch, "", "", 12},
		{"version in lower case", "GET / http/1.1\r\n", NoMatch, "", "", 7},

		{"no dot", "GET / HTTP/11\r\n", Bad, "", reasonHTTPVersion, 13},
		{"no minor", "GET / HTTP/1.\r\n", Bad, "", reasonHTTPVersion, 14},
		{"no major", "GET / HTTP/.1\r\n", Bad, "", reasonHTTPVersion, 12},
		{"two digits", "GET / HTTP/1.10\r\n", Bad, "", reasonLineEnd, 15},
		{"two versions", "GET / HTTP/1.1 HTTP/1.1\r\n", Bad, "", reasonLineEnd, 16},
		{"CR before text", "GET / HTTP/1.1\rX\n", Bad, "", reasonLineEnd, 16},
		{"too long", "GET /" + long + " HTTP/1.1\r\n", Bad, "", ReasonLineTooLarge, DefaultLineLimit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			known := tc.known
			if known == 0 {
				known = len(tc.in)
			}
			var whole, bytewise HTTP
			st, proto := whole.Feed([]byte(tc.in))
			if st != tc.want || proto != tc.proto || whole.Err() != tc.err {
				t.Fatalf("%v %q %q, want %v %q %q", st, proto, whole.Err(), tc.want, tc.proto, tc.err)
			}
			if st == Match && whole.Consumed() != known && tc.name != "preface gone wrong" {
				t.Errorf("consumed %d", whole.Consumed())
			}
			for i := range known {
				if st, proto := bytewise.Feed([]byte(tc.in[:i])); st != More || proto != "" {
					t.Fatalf("%v %q after %d bytes", st, proto, i)
				}
				if n := bytewise.Need(); n != i+1 {
					t.Fatalf("needs %d bytes after %d", n, i)
				}
			}
			if st, proto := bytewise.Feed([]byte(tc.in[:known])); st != tc.want || proto != tc.proto {
				t.Fatalf("%v %q after %d bytes", st, proto, known)
			}
			if proto != H2C && !strings.HasPrefix(tc.name, "preface gone") {
				if st, proto := HTTP1([]byte(tc.in)); st != tc.want || proto != tc.proto {
					t.Errorf("HTTP1: %v %q", st, proto)
				}
			}
		})
	}
}

func TestHTTPLimit(t *testing.T) {
	line := "GET /" + strings.Repeat("x", 85) + " HTTP/1.1\r\n" // 101 bytes
	for _, tc := range []struct {
		limit int
		want  Status
	}{{0, Match}, {102, Match}, {101, Match}, {100, Bad}, {1, Bad}} {
		var h HTTP
		h.SetLineLimit(tc.limit)
		for i := range line {
			h.Feed([]byte(line[:i]))
		}
		if st, _ := h.Feed([]byte(line)); st != tc.want {
			t.Errorf("limit %d: %v, want %v", tc.limit, st, tc.want)
		}
		h.Reset()
		if st, _ := h.Feed([]byte(line)); st != tc.want {
			t.Errorf("limit %d after Reset: %v, want %v", tc.limit, st, tc.want)
		}
	}
	var h HTTP
	h.Feed([]byte("GET / "))
	if st, _ := h.Feed([]byte("GET")); st != Bad || h.Err() != ReasonShrunk {
		t.Errorf("shrunk: %v %q", st, h.Err())
	}
}
