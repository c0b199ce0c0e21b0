package parity

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An h2Client speaks HTTP/2 for a case. Text that the client sends is a request on
// a new stream: fields as they are to be sent, an empty line, the body. Events:
//
//	> !open             the next request does not end its stream
//	> !data text        a DATA frame of the newest stream; "!end text" ends it
//	> !trailers a: b    trailers of the newest stream
//	> !rst 8            RST_STREAM of it
//	> !frame T F S hex  a frame of any type, flags, stream and payload
//
// "<" reads until the oldest stream is over that was not read.
type h2Client struct {
	p       *play
	fr      *http2.Framer
	out     bytes.Buffer // sent in one piece before something is waited for
	enc     *hpack.Encoder
	block   bytes.Buffer
	open    bool // the next request does not end its stream
	last    uint32
	read    uint32 // the newest stream that was read
	streams map[uint32]*h2Stream
	acked   bool // our last PING was answered
	ended   error
	told    bool
}

type h2Stream struct {
	m     message
	whole bool
	reset string
}

func newH2Client(p *play) *h2Client {
	c := &h2Client{p: p, streams: map[uint32]*h2Stream{}}
	c.fr = http2.NewFramer(&c.out, p.in)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.AllowIllegalWrites = true
	c.enc = hpack.NewEncoder(&c.block)
	c.out.WriteString(http2.ClientPreface)
	_ = c.fr.WriteSettings()
	return c
}

func (c *h2Client) stream(id uint32) *h2Stream {
	s := c.streams[id]
	if s == nil {
		s = &h2Stream{}
		c.streams[id] = s
	}
	return s
}

// next is the stream after one of the client's.
func next(id uint32) uint32 {
	if id == 0 {
		return 1
	}
	return id + 2
}

// send does a step, and is false when it is none of HTTP/2.
func (c *h2Client) send(s step) bool {
	verb, rest, _ := strings.Cut(s.arg, " ")
	switch verb {
	case "":
		head, body, _ := strings.Cut(s.text, "\r\n\r\n")
		c.last = next(c.last)
		c.headers(head, !c.open && body == "")
		if body != "" {
			_ = c.fr.WriteData(c.last, !c.open, []byte(body))
		}
		c.open = false
	case "open":
		c.open = true
	case "data", "end":
		_ = c.fr.WriteData(c.last, verb == "end", []byte(rest))
	case "trailers":
		c.headers(rest, true)
	case "rst":
		n, _ := strconv.Atoi(rest)
		_ = c.fr.WriteRSTStream(c.last, http2.ErrCode(n))
		c.stream(c.last).whole, c.stream(c.last).reset = true, "by the client"
	case "frame":
		var typ, flags, id uint32
		var payload string
		_, _ = fmt.Sscanf(rest, "%d %d %d %s", &typ, &flags, &id, &payload)
		b, err := hex.DecodeString(payload)
		if err != nil {
			c.p.trouble(err.Error())
		}
		_ = c.fr.WriteRawFrame(http2.FrameType(typ), http2.Flags(flags), id, b)
	default:
		return false
	}
	return true
}

func (c *h2Client) headers(text string, end bool) {
	c.block.Reset()
	for l := range strings.SplitSeq(text, "\r\n") {
		at := strings.Index(l[min(1, len(l)):], ":") + 1
		if at <= 0 {
			continue
		}
		_ = c.enc.WriteField(hpack.HeaderField{Name: l[:at], Value: strings.TrimPrefix(l[at+1:], " ")})
	}
	_ = c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: c.last, BlockFragment: c.block.Bytes(), EndStream: end, EndHeaders: true})
}

// response tells the next stream's.
func (c *h2Client) response() {
	c.read = next(c.read)
	s := c.stream(c.read)
	c.until(func() bool { return s.whole })
	if s.m.first != "" {
		if c.p.k.without["body"] {
			s.m.body = nil
		}
		c.p.out = append(c.p.out, s.m.lines("<", c.p.k.exact)...)
	}
	switch {
	case s.reset != "":
		c.p.say("< [reset: %s]", s.reset)
	case !s.whole:
		c.end()
	}
}

func (c *h2Client) end() {
	if !c.told {
		c.told = true
		c.p.say("< [%s]", how(c.ended))
	}
}

// probe asks whether the connection is open.
func (c *h2Client) probe() {
	c.acked = false
	_ = c.fr.WritePing(false, [8]byte{1})
	c.until(func() bool { return c.acked })
	if c.acked {
		c.p.say("= open")
	} else {
		c.p.say("= %s", how(c.ended))
	}
}

func (c *h2Client) flush() {
	_, _ = c.p.client.Write(c.out.Bytes()) // a refused client may not take all
	c.out.Reset()
}

// until takes frames.
func (c *h2Client) until(done func() bool) {
	_ = c.p.client.SetReadDeadline(time.Now().Add(patience))
	for !done() && c.ended == nil {
		c.flush()
		f, err := c.fr.ReadFrame()
		if err != nil {
			c.ended = err
			return
		}
		c.take(f)
	}
}

func (c *h2Client) take(f http2.Frame) {
	s := &h2Stream{}
	if id := f.Header().StreamID; id != 0 {
		s = c.stream(id)
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			_ = c.fr.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if f.IsAck() {
			c.acked = true
		} else {
			_ = c.fr.WritePing(true, f.Data)
		}
	case *http2.MetaHeadersFrame:
		c.fields(s, f)
		s.whole = s.whole || f.StreamEnded()
	case *http2.DataFrame:
		s.m.framing = "data"
		s.m.body = append(s.m.body, f.Data()...)
		s.whole = s.whole || f.StreamEnded()
		if n := uint32(len(f.Data())); n > 0 {
			_ = c.fr.WriteWindowUpdate(0, n)
			_ = c.fr.WriteWindowUpdate(f.StreamID, n)
		}
	case *http2.RSTStreamFrame:
		if !s.whole {
			s.whole, s.reset = true, f.ErrCode.String()
		}
	case *http2.GoAwayFrame:
		c.p.say("< [goaway: %v]", f.ErrCode)
	}
}

func (c *h2Client) fields(s *h2Stream, f *http2.MetaHeadersFrame) {
	if status := f.PseudoValue("status"); status != "" {
		if s.m.first != "" { // 1xx came before
			c.p.out = append(c.p.out, s.m.lines("<", c.p.k.exact)...)
		}
		s.m = message{first: ":status " + status}
		for _, h := range f.RegularFields() {
			s.m.fields = append(s.m.fields, [2]string{h.Name, h.Value})
		}
		return
	}
	for _, h := range f.RegularFields() {
		s.m.trailers = append(s.m.trailers, [2]string{h.Name, h.Value})
	}
}
