package h2

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/buffer"
)

// reader is the parsing of frames; it belongs to the reading goroutine.
type reader struct {
	in    *buffer.Buf
	f     *http2.Framer
	first bool // the first frame, which must be SETTINGS, has come

	// of a DATA frame whose content is passed on as it comes
	data, pad int
	dataID    uint32
	dataEnd   bool
	credited  bool // the windows have been opened for it: its stream is gone

	// of a field block whose last frame has not come
	block     buffer.Buf
	blockID   uint32
	blockEnd  bool
	blockSelf bool
	frames    int
}

func (r *reader) init(in *buffer.Buf) {
	r.in = in
	r.f = http2.NewFramer(nil, r)
	r.f.SetMaxReadFrameSize(frameSize)
}

// Read gives the Framer bytes that are there; it never asks for others.
func (r *reader) Read(p []byte) (int, error) {
	n := copy(p, r.in.Bytes())
	r.in.Consume(n)
	if n == 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, nil
}

// readFrames handles everything that is in.
func (c *core) readFrames() error {
	r := &c.rd
	for {
		if r.data > 0 || r.pad > 0 || r.dataEnd {
			if more, err := c.dataContent(); err != nil || !more {
				return err
			}
			continue
		}
		b := r.in.Bytes()
		if len(b) < 9 {
			return nil
		}
		n := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
		typ := http2.FrameType(b[3])
		need := 9 + n
		if typ == http2.FrameData {
			need = 9 + min(n, 1) // the padding's length, if there is one
		}
		if len(b) < need && n <= frameSize {
			return nil
		}
		fh, err := r.f.ReadFrameHeader()
		if err != nil {
			return c.framerError(err)
		}
		if !r.first {
			if fh.Type != http2.FrameSettings || fh.Flags.Has(http2.FlagSettingsAck) {
				return connError(http2.ErrCodeProtocol, "first frame is not SETTINGS")
			}
			r.first = true
		}
		if err := c.frame(fh); err != nil {
			if err := c.streamFault(err); err != nil {
				return err
			}
		}
	}
}

// streamFault resets the stream of a streamError; other errors pass.
func (c *core) streamFault(err error) error {
	var se *streamError
	if !errors.As(err, &se) {
		return err
	}
	c.st.RxMessagingError.Inc()
	c.mu.Lock()
	defer c.unlock()
	if s := c.table.get(se.id); s != nil {
		c.rst(s, se.code, se.why)
	} else {
		c.out.rst(se.id, se.code)
	}
	if !c.client {
		return c.guard.reset(c)
	}
	return nil
}

// framerError gives the Framer's errors our type.
func (c *core) framerError(err error) error {
	var ce http2.ConnectionError
	var se http2.StreamError
	reason := "malformed frame"
	if d := c.rd.f.ErrorDetail(); d != nil {
		reason = d.Error()
	}
	switch {
	case errors.As(err, &ce):
		return connError(http2.ErrCode(ce), reason)
	case errors.As(err, &se):
		return connError(se.Code, reason)
	case errors.Is(err, http2.ErrFrameTooLarge):
		return connError(http2.ErrCodeFrameSize, "frame larger than SETTINGS_MAX_FRAME_SIZE")
	}
	return connError(http2.ErrCodeProtocol, reason)
}

// frame handles a frame whose header was read. Its payload is in, but for DATA.
func (c *core) frame(fh http2.FrameHeader) error {
	r := &c.rd
	n := int(fh.Length)
	switch fh.Type {
	case http2.FrameData:
		return c.dataFrame(fh)
	case http2.FrameHeaders:
		p := r.in.Bytes()[:n]
		err := c.headersFrame(fh, p)
		r.in.Consume(n)
		return err
	case http2.FrameContinuation:
		p := r.in.Bytes()[:n]
		err := c.continuationFrame(fh, p)
		r.in.Consume(n)
		return err
	case http2.FrameWindowUpdate:
		if n != 4 {
			return connError(http2.ErrCodeFrameSize, "WINDOW_UPDATE of a wrong length")
		}
		inc := binary.BigEndian.Uint32(r.in.Bytes()) & maxWindow
		r.in.Consume(n)
		return c.windowUpdateFrame(fh.StreamID, int64(inc))
	case http2.FrameRSTStream:
		if n != 4 {
			return connError(http2.ErrCodeFrameSize, "RST_STREAM of a wrong length")
		}
		code := http2.ErrCode(binary.BigEndian.Uint32(r.in.Bytes()))
		r.in.Consume(n)
		return c.rstFrame(fh.StreamID, code)
	case http2.FramePushPromise:
		return connError(http2.ErrCodeProtocol, "PUSH_PROMISE where push is off")
	case http2.FrameSettings, http2.FramePing, http2.FrameGoAway, http2.FramePriority:
		f, err := r.f.ReadFrameForHeader(fh)
		if err != nil {
			return c.framerError(err)
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			return c.settingsFrame(f)
		case *http2.PingFrame:
			return c.pingFrame(f)
		case *http2.GoAwayFrame:
			return c.side.goAway(f.LastStreamID, f.ErrCode, f.DebugData())
		case *http2.PriorityFrame:
			return c.priorityFrame(f)
		}
	}
	r.in.Consume(n) // frames of unknown types are ignored (RFC 9113 §4.1)
	return nil
}

// headersFrame takes a HEADERS frame.
func (c *core) headersFrame(fh http2.FrameHeader, p []byte) error {
	r, id := &c.rd, fh.StreamID
	if id == 0 {
		return connError(http2.ErrCodeProtocol, "HEADERS on stream 0")
	}
	pad := 0
	if fh.Flags.Has(http2.FlagHeadersPadded) {
		if len(p) < 1 {
			return connError(http2.ErrCodeFrameSize, "HEADERS without its padding's length")
		}
		pad, p = int(p[0]), p[1:]
	}
	self := false
	if fh.Flags.Has(http2.FlagHeadersPriority) {
		if len(p) < 5 {
			return connError(http2.ErrCodeFrameSize, "HEADERS without its priority")
		}
		self = binary.BigEndian.Uint32(p)&maxStream == id
		p = p[5:]
	}
	if pad > len(p) {
		return connError(http2.ErrCodeProtocol, "padding longer than its frame (RFC 9113 §6.2)")
	}
	p = p[:len(p)-pad]
	end := fh.Flags.Has(http2.FlagHeadersEndStream)
	if fh.Flags.Has(http2.FlagHeadersEndHeaders) {
		c.guard.full()
		return c.side.block(id, p, end, self)
	}
	if err := c.guard.empty(c, len(p)); err != nil {
		return err
	}
	r.blockID, r.blockEnd, r.blockSelf, r.frames = id, end, self, 1
	r.block.Append(p)
	return c.guard.blockSize(c, r.block.Len(), r.frames)
}

// continuationFrame takes a CONTINUATION frame; the Framer has seen to the order.
func (c *core) continuationFrame(fh http2.FrameHeader, p []byte) error {
	r := &c.rd
	r.frames++
	if err := c.guard.blockSize(c, r.block.Len()+len(p), r.frames); err != nil {
		return err
	}
	r.block.Append(p)
	if !fh.Flags.Has(http2.FlagContinuationEndHeaders) {
		return c.guard.empty(c, len(p))
	}
	c.guard.full()
	err := c.side.block(r.blockID, r.block.Bytes(), r.blockEnd, r.blockSelf)
	r.block.Discard()
	return err
}

// serve reads until the connection is over and gives the reason; err is what the
// preface gave.
func (c *core) serve(err error) error {
	for err == nil {
		if err = c.readFrames(); err == nil {
			err = c.readMore()
		}
	}
	c.mu.Lock()
	var ce *ConnError
	if errors.As(err, &ce) && !ce.Remote {
		c.abort(ce)
	} else {
		c.fail(err)
	}
	err = c.err
	c.timer.stop()
	c.unlock()
	c.rd.block.Discard()
	return err
}

// readMore waits for bytes. What reading called for goes out before: the input is
// drained.
func (c *core) readMore() error {
	for {
		c.mu.Lock()
		err := c.err
		if err == nil {
			c.out.kick()
		}
		c.unlock()
		if err != nil {
			return err
		}
		c.in.Release()
		n, err := c.conn.ReadBuf(c.in)
		if n > 0 {
			c.mu.Lock()
			c.received += uint64(n)
			c.mu.Unlock()
			return nil
		}
		if err != nil && isTimeout(err) {
			err = c.roused()
		}
		if err != nil {
			return err
		}
	}
}

// roused decides what a read does that was woken.
func (c *core) roused() error {
	c.mu.Lock()
	defer c.unlock()
	switch {
	case c.err != nil:
		return c.err
	case c.out.err != nil:
		return c.out.err
	}
	if err := c.conn.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	c.side.woken()
	return nil
}

// linger writes out the last frames of a connection that ended and lets the peer
// see them: data that it still sends would otherwise make the system drop them.
func (c *core) linger() {
	c.mu.Lock()
	c.out.closing = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(lastRead))
	c.out.guarded = true
	if !c.out.pending() && !c.out.flushing {
		_ = c.conn.CloseWrite()
	}
	c.out.kick()
	for c.out.flushing {
		c.out.drained.Wait()
	}
	ok := c.out.err == nil
	c.unlock()
	_ = c.conn.SetReadDeadline(time.Now().Add(lastRead))
	for ok {
		c.in.Consume(c.in.Len())
		if _, err := c.conn.ReadBuf(c.in); err != nil {
			break
		}
	}
	c.in.Discard()
}
