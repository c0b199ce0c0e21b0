// Package streamtest runs streams without sockets: a codec in memory, which
// tests of filters look into.
package streamtest

import (
	"errors"
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Codec keeps what a stream sends. The zero value serves requests without a
// body; Reset makes it ready for another stream without giving up its memory.
type Codec struct {
	Request [][]byte // pieces of the request body still to be read

	Head     header.Headers // the response head
	Body     []byte
	Trailers header.Headers
	Ended    bool // the end of the response was sent
	Left     bool // what Gone says
}

var _ stream.Codec = (*Codec)(nil)

// Reset forgets what was sent.
func (c *Codec) Reset() {
	c.Head.Reset()
	c.Trailers.Reset()
	c.Request, c.Body, c.Ended, c.Left = nil, c.Body[:0], false, false
}

// ReadBody implements stream.Codec.
func (c *Codec) ReadBody() (p []byte, end bool, err error) {
	if len(c.Request) == 0 {
		return nil, true, nil
	}
	p, c.Request = c.Request[0], c.Request[1:]
	return p, len(c.Request) == 0, nil
}

// SetReadDeadline implements stream.Codec: nothing is waited for.
func (c *Codec) SetReadDeadline(time.Time) {}

// WriteInformational implements stream.Codec; it is not kept.
func (c *Codec) WriteInformational(*header.Headers) error { return nil }

// WriteHeaders implements stream.Codec.
func (c *Codec) WriteHeaders(h *header.Headers, end bool) error {
	c.Head.CopyFrom(h)
	c.Ended = end
	return nil
}

// WriteBody implements stream.Codec.
func (c *Codec) WriteBody(p []byte, end bool) error {
	c.Body = append(c.Body, p...)
	c.Ended = end
	return nil
}

// WriteTrailers implements stream.Codec.
func (c *Codec) WriteTrailers(h *header.Headers) error {
	c.Trailers.CopyFrom(h)
	c.Ended = true
	return nil
}

// Flush implements stream.Codec.
func (c *Codec) Flush() error { return nil }

// SpliceBody implements stream.Codec: memory cannot be spliced into.
func (c *Codec) SpliceBody(*netio.Timed, int64, time.Duration, time.Time) (int64, bool, error) {
	return 0, false, nil
}

// Interrupt implements stream.Codec: no read waits.
func (c *Codec) Interrupt() {}

// Resume implements stream.Codec.
func (c *Codec) Resume() {}

// Gone implements stream.Codec.
func (c *Codec) Gone() bool { return c.Left }

// Upgrade implements stream.Codec: there is nothing below.
func (c *Codec) Upgrade() (netio.Conn, []byte) { return nil, nil }

// A Terminal answers 200 with a body; it stands for the router.
type Terminal struct{ Body []byte }

var _ stream.Terminal = (*Terminal)(nil)

// ErrUnread is what a Terminal fails with when the request's body cannot be read.
var ErrUnread = errors.New("request body was not read")

// ServeStream implements stream.Terminal.
func (t *Terminal) ServeStream(s *stream.Stream) error {
	for !s.BodyDone() {
		if _, _, err := s.ReadBody(); err != nil {
			return errors.Join(ErrUnread, err)
		}
	}
	s.SetStatus(200)
	if err := s.SendHeaders(false); err != nil {
		return err
	}
	return s.SendBody(t.Body, true)
}

// A Field is one field of a request head.
type Field struct {
	Name  header.Name
	Value string
}

// Fields makes fields of pairs of names and values, pseudo-headers among them.
func Fields(nv ...string) []Field {
	var out []Field
	for i := 0; i+1 < len(nv); i += 2 {
		out = append(out, Field{header.Intern(nv[i]), nv[i+1]})
	}
	return out
}

// Serve takes a request through the stream's whole life, but for Recycle: what
// became of it can then be looked at.
func Serve(s *stream.Stream, c *conn.Conn, codec *Codec, live *route.Live, rand uint64, head []Field) error {
	s.Begin(c, codec, live, rand)
	for _, f := range head {
		s.Request.AddString(f.Name, f.Value)
	}
	s.Method, s.Path, s.Authority = s.Request.Value(header.Method), s.Request.Value(header.Path), s.Request.Value(header.Authority)
	s.NoBody = len(codec.Request) == 0
	s.Info.Start = time.Now()
	err := s.Run()
	s.Info.End = time.Now()
	s.End()
	return err
}
