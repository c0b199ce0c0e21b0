package rig

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An H2 is one end of an HTTP/2 connection, frame by frame, for one goroutine. It
// answers SETTINGS and PING; windows it opens only when Credit says so.
type H2 struct {
	*http2.Framer
	Conn net.Conn
	// Credit opens the windows for DATA as Next gives it.
	Credit bool
	// Settings are the peer's, as far as they have come.
	Settings map[http2.SettingID]uint32

	t     testing.TB
	block bytes.Buffer
	enc   *hpack.Encoder
}

// DialH2 connects to the rig's first listener with prior knowledge and sends SETTINGS.
func (r *Rig) DialH2(settings ...http2.Setting) *H2 {
	r.t.Helper()
	return ClientH2(r.t, r.Dial(), settings...)
}

// ClientH2 makes a connection one of HTTP/2 with prior knowledge and sends SETTINGS.
func ClientH2(t testing.TB, c net.Conn, settings ...http2.Setting) *H2 {
	t.Helper()
	if _, err := io.WriteString(c, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	return newH2(t, c, settings)
}

// FrameOrigin is a server of HTTP/2 with prior knowledge: serve has each connection,
// whose SETTINGS were sent, and a goroutine of its own.
func FrameOrigin(t testing.TB, settings []http2.Setting, serve func(*H2)) string {
	return TCPOrigin(t, func(c *net.TCPConn) {
		var p [len(http2.ClientPreface)]byte
		if _, err := io.ReadFull(c, p[:]); err != nil {
			return
		}
		serve(newH2(t, c, settings))
	})
}

func newH2(t testing.TB, c net.Conn, settings []http2.Setting) *H2 {
	h := &H2{Framer: http2.NewFramer(c, c), Conn: c, Credit: true, Settings: map[http2.SettingID]uint32{}, t: t}
	h.enc = hpack.NewEncoder(&h.block)
	h.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := h.WriteSettings(settings...); err != nil {
		t.Error(err)
	}
	return h
}

// Head sends a field section: names and values in turn.
func (h *H2) Head(id uint32, end bool, fields ...string) {
	h.t.Helper()
	h.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		_ = h.enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	if err := h.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: end}); err != nil {
		h.t.Error(err)
	}
}

// Request sends the head of a request to a host; more are further fields.
func (h *H2) Request(id uint32, end bool, method, host, path string, more ...string) {
	h.t.Helper()
	h.Head(id, end, append([]string{":method", method, ":scheme", "http", ":authority", host, ":path", path}, more...)...)
}

// Next gives the next frame that concerns a stream, or GOAWAY; it is valid until the
// one after it is read.
func (h *H2) Next() (http2.Frame, error) {
	for {
		f, err := h.ReadFrame()
		if err != nil {
			return nil, err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			_ = f.ForeachSetting(func(s http2.Setting) error { h.Settings[s.ID] = s.Val; return nil })
			err = h.WriteSettingsAck()
		case *http2.PingFrame:
			if !f.IsAck() {
				err = h.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
		case *http2.DataFrame:
			if n := f.Length; n > 0 && h.Credit {
				_ = h.WriteWindowUpdate(0, n)
				if !f.StreamEnded() {
					_ = h.WriteWindowUpdate(f.StreamID, n)
				}
			}
			return f, nil
		default:
			return f, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Read gives what comes for a stream until it ends or n bytes of body have come, n
// being 0 for none: each head as "code" or its request line, bodies as they are, and
// how it ended: "END", "RST code", "GOAWAY code" or the connection's error.
func (h *H2) Read(id uint32, n int) string {
	var out, body bytes.Buffer
	say := func(format string, args ...any) {
		if body.Len() > 0 {
			fmt.Fprintf(&out, "%s ", body.Bytes())
			body.Reset()
		}
		fmt.Fprintf(&out, format+" ", args...)
	}
	flush := func() string {
		say("")
		return string(bytes.TrimSpace(out.Bytes()))
	}
	for {
		f, err := h.Next()
		if err != nil {
			say("%v", err)
			return flush()
		}
		if g, ok := f.(*http2.GoAwayFrame); ok {
			if g.ErrCode != http2.ErrCodeNo {
				say("GOAWAY %v", g.ErrCode)
			}
			continue
		}
		if f.Header().StreamID != id {
			continue
		}
		end := false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if s := f.PseudoValue("status"); s != "" {
				say("%s", s)
			} else {
				say("%s %s %s", f.PseudoValue("method"), f.PseudoValue("authority"), f.PseudoValue("path"))
			}
			end = f.StreamEnded()
		case *http2.DataFrame:
			body.Write(f.Data())
			end = f.StreamEnded()
		case *http2.RSTStreamFrame:
			say("RST %v", f.ErrCode)
			return flush()
		}
		if end {
			say("END")
			return flush()
		}
		if body.Len() >= n && n > 0 {
			return flush()
		}
		if n == 0 && out.Len() > 0 {
			return flush()
		}
	}
}
