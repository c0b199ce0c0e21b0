// Package streams holds what streams of every kind go through to the whole data path
// between real sockets: upgrades, CONNECT, back-pressure, drains.
package streams

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// key is the Sec-WebSocket-Key of clients that have one, from RFC 6455 §1.3.
const key = "dGhlIHNhbXBsZSBub25jZQ=="

// A pipe is an end of what an upgrade or CONNECT opened.
type pipe interface {
	send(p string) error
	recv(n int) string // of that many bytes, or what came until the end
	end()              // of our direction
	ended() string     // waits for the end of the other: "end", "reset"
	reset()
}

// plain is a pipe over TCP.
type plain struct {
	c *net.TCPConn
	r *bufio.Reader
}

func newPlain(c *net.TCPConn) *plain { return &plain{c, bufio.NewReader(c)} }

func (p *plain) send(s string) error {
	_, err := io.WriteString(p.c, s)
	return err
}

func (p *plain) recv(n int) string {
	b := make([]byte, n)
	n, _ = io.ReadFull(p.r, b)
	return string(b[:n])
}

func (p *plain) end() { _ = p.c.CloseWrite() }

func (p *plain) ended() string {
	n, err := io.Copy(io.Discard, p.r)
	switch {
	case n > 0:
		return fmt.Sprintf("%d bytes more", n)
	case err == nil:
		return "end"
	case errors.Is(err, syscall.ECONNRESET):
		return "reset"
	}
	return err.Error()
}

func (p *plain) reset() {
	_ = p.c.SetLinger(0)
	_ = p.c.Close()
}

// framed is a pipe over a stream of HTTP/2.
type framed struct {
	h    *rig.H2
	id   uint32
	rest bytes.Buffer
	how  string // it ended
	code http2.ErrCode
}

func (p *framed) send(s string) error { return p.h.WriteData(p.id, false, []byte(s)) }
func (p *framed) end()                { _ = p.h.WriteData(p.id, true, nil) }
func (p *framed) reset()              { _ = p.h.WriteRSTStream(p.id, http2.ErrCodeCancel) }

func (p *framed) next() {
	f, err := p.h.Next()
	if err != nil {
		p.how = err.Error()
		return
	}
	if f.Header().StreamID != p.id {
		return
	}
	switch f := f.(type) {
	case *http2.DataFrame:
		p.rest.Write(f.Data())
		if f.StreamEnded() {
			p.how = "end"
		}
	case *http2.RSTStreamFrame:
		p.how, p.code = "reset", f.ErrCode
	case *http2.MetaHeadersFrame:
		p.how = "headers"
	}
}

func (p *framed) recv(n int) string {
	for p.rest.Len() < n && p.how == "" {
		p.next()
	}
	return string(p.rest.Next(n))
}

func (p *framed) ended() string {
	for p.how == "" {
		p.next()
	}
	if n := p.rest.Len(); n > 0 {
		return fmt.Sprintf("%d bytes more", n)
	}
	return p.how
}

// dial asks for a WebSocket at /chat and gives what was answered.
func dial(t *testing.T, r *rig.Rig, version int) (p pipe, answer string) {
	t.Helper()
	if version == 2 {
		h := r.DialH2()
		h.Request(1, false, "CONNECT", "a.test", "/chat", ":protocol", "websocket", "sec-websocket-version", "13")
		return opened(h)
	}
	c := r.Dial()
	fmt.Fprintf(c, "GET /chat HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", key)
	return answered(t, c, "GET")
}

// opened reads the answer on stream 1.
func opened(h *rig.H2) (pipe, string) {
	p := &framed{h: h, id: 1}
	for {
		f, err := h.Next()
		if err != nil {
			return p, err.Error()
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			return p, "RST " + f.ErrCode.String()
		case *http2.MetaHeadersFrame:
			field := func(name string) string {
				for _, x := range f.RegularFields() {
					if x.Name == name {
						return x.Value
					}
				}
				return ""
			}
			if f.StreamEnded() {
				p.how = "end"
			}
			return p, fmt.Sprintf("%s %s %s", f.PseudoValue("status"), field("upgrade"), field("sec-websocket-accept"))
		}
	}
}

func answered(t *testing.T, c *net.TCPConn, method string) (pipe, string) {
	t.Helper()
	p := &plain{c, bufio.NewReader(c)}
	resp, err := http.ReadResponse(p.r, &http.Request{Method: method})
	if err != nil {
		return p, err.Error()
	}
	if resp.StatusCode != 101 && method != "CONNECT" {
		b, _ := io.ReadAll(resp.Body)
		return p, fmt.Sprintf("%d %s", resp.StatusCode, b)
	}
	return p, fmt.Sprintf("%d %s %s", resp.StatusCode, resp.Header.Get("Upgrade"), resp.Header.Get("Sec-Websocket-Accept"))
}

// asked is what came to an origin.
type asked struct {
	pipe
	line, key string
	answer    func(code int, more ...string)
}

// accept says yes as a WebSocket server does.
func (a *asked) accept() {
	if a.key == "" { // HTTP/2
		a.answer(200)
		return
	}
	a.answer(101, "upgrade", "websocket", "sec-websocket-accept", fields.Accept(a.key))
}

// origin gives what comes to a server of a version, one request for each connection;
// it holds them until the test ends.
func origin(t *testing.T, version int, settings ...http2.Setting) (addr string, came chan *asked) {
	t.Helper()
	came = make(chan *asked, 1)
	over := make(chan struct{})
	var a string
	if version == 1 {
		a = rig.TCPOrigin(t, func(c *net.TCPConn) {
			p := &plain{c, bufio.NewReader(c)}
			req, err := http.ReadRequest(p.r)
			if err != nil {
				return
			}
			came <- &asked{
				pipe: p, key: req.Header.Get("Sec-Websocket-Key"),
				line: fmt.Sprintf("%s %s %s %s%s", req.Method, req.Host, req.RequestURI, req.Header.Get("Upgrade"), strings.Join(req.TransferEncoding, "")),
				answer: func(code int, more ...string) {
					var b strings.Builder
					fmt.Fprintf(&b, "HTTP/1.1 %d Whatever\r\n", code)
					if code == 101 {
						b.WriteString("Connection: Upgrade\r\n")
					}
					for i := 0; i+1 < len(more); i += 2 {
						fmt.Fprintf(&b, "%s: %s\r\n", more[i], more[i+1])
					}
					_ = p.send(b.String() + "\r\n")
				},
			}
			<-over
		})
	} else {
		a = rig.FrameOrigin(t, settings, func(h *rig.H2) {
			for {
				f, err := h.Next()
				if err != nil {
					return
				}
				m, ok := f.(*http2.MetaHeadersFrame)
				if !ok {
					continue
				}
				end := ""
				if m.StreamEnded() {
					end = "ended"
				}
				came <- &asked{
					pipe: &framed{h: h, id: m.StreamID},
					line: fmt.Sprintf("%s %s %s %s%s", m.PseudoValue("method"), m.PseudoValue("authority"), m.PseudoValue("path"), m.PseudoValue("protocol"), end),
					answer: func(code int, more ...string) {
						h.Head(m.StreamID, false, append([]string{":status", fmt.Sprint(code)}, more...)...)
					},
				}
				<-over
				return
			}
		})
	}
	t.Cleanup(func() { close(over) })
	return a, came
}

// extended is the setting of servers that take extended CONNECT.
var extended = http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1}

// through runs a rig whose one cluster, o, speaks a version.
func through(t *testing.T, version int, origin, hcm string) *rig.Rig {
	t.Helper()
	o := rig.Options{HCM: "stat_prefix: test\nhttp_filters: [$router]\nhttp2_protocol_options: {allow_connect: true}\n" + hcm}
	o.Config = "clusters:\n- name: o\n  load_assignment: " + rig.Endpoint("o", origin)
	if version == 2 {
		o.Config += "\n  typed_extension_protocol_options: {envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {$http_protocol_options, explicit_http_config: {http2_protocol_options: {}}}}"
	}
	return rig.New(t, o)
}
