package h2

import (
	"os"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/codec/h2/fields"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

const (
	minWindow = 65535     // what both sides begin with (RFC 9113 §6.9.2)
	maxWindow = 1<<31 - 1 // RFC 9113 §6.9.1
	frameSize = 16 << 10  // the largest frame we take: SETTINGS_MAX_FRAME_SIZE's initial value
	maxStream = 1<<31 - 1
)

// A side is what a server and a client do each in their way. Its methods are
// called on the reading goroutine without locks held.
type side interface {
	// block takes a whole field block of a stream.
	block(id uint32, b []byte, end, selfDepends bool) error
	// goAway hears of a GOAWAY.
	goAway(last uint32, code http2.ErrCode, debug []byte) error
	// pong hears, with the lock held, that the peer answered pingDrain.
	pong()
	// woken hears, with the lock held, that a read was woken.
	woken()
	// unused hears, with the lock held, that the last stream is over.
	unused()
	// settled is told, with the lock held, that the peer's first SETTINGS have come.
	settled()
	// notify hears, on any goroutine, that streams ended or may be opened.
	notify()
	// due is told of the time when the connection's timer is due, with the lock
	// held; it gives when it wants to hear again, zero for never.
	due(now time.Time) time.Time
}

// core is a connection, as both sides have it.
type core struct {
	// set in init, never changed
	conn   netio.Conn
	o      Options
	st     *Stats
	side   side
	client bool

	// owned by the reading goroutine
	in     *buffer.Buf
	rd     reader
	dec    *fields.Decoder
	guard  guard
	fields header.Headers // a head or trailers just decoded, on their way to a stream
	msg    fields.Message

	mu       sync.Mutex
	table    table
	closed   graves
	late     latecomers // a server's
	maxID    uint32     // the highest stream the peer opened (server), or we did (client)
	lastID   uint32     // the highest of the peer's that we may have acted on
	active   int        // streams that count against the limit
	sendWin  int64      // what we may send
	recvWin  int64      // what the peer may send
	unsent   int64      // what was consumed and not yet given back to the peer
	peer     peerSettings
	enc      *fields.Encoder
	out      output
	timer    alarm
	keep     keepalive
	err      error // why the connection is over; nil while it is not
	goneAway bool  // we sent the last GOAWAY, or heard one: no new streams
	note     bool  // the side wants to be notified once the lock is free
	received uint64
	dataSent int // DATA frames, for the guard of window updates
}

// peerSettings are what the peer said in SETTINGS.
type peerSettings struct {
	maxStreams uint32
	window     int64
	frame      int
	connect    bool // takes extended CONNECT
	seen       bool
}

func (c *core) init(conn netio.Conn, in *buffer.Buf, o *Options, st *Stats, s side, client bool) {
	c.conn, c.in, c.o, c.st, c.side, c.client = conn, in, o.withDefaults(), st, s, client
	c.dec = fields.NewDecoder(c.o.HeaderTableSize)
	c.enc = fields.NewEncoder(c.o.HeaderTableSize)
	c.rd.init(in)
	c.out.init(c)
	c.timer.init(c)
	c.sendWin, c.recvWin = minWindow, int64(c.o.InitialConnWindow)
	c.peer = peerSettings{maxStreams: maxStream, window: minWindow, frame: frameSize}
	c.received = uint64(in.Len())
}

// unlock frees the lock and tells the side what happened under it.
func (c *core) unlock() {
	note := c.note
	c.note = false
	c.mu.Unlock()
	if note {
		c.side.notify()
	}
}

// settings puts our SETTINGS into the output, and opens the connection's window.
func (c *core) settings() {
	s := make([]http2.Setting, 0, 8)
	add := func(id http2.SettingID, v uint32) { s = append(s, http2.Setting{ID: id, Val: v}) }
	if c.o.HeaderTableSize != 4096 {
		add(http2.SettingHeaderTableSize, c.o.HeaderTableSize)
	}
	if c.client {
		add(http2.SettingEnablePush, 0)
	} else {
		add(http2.SettingMaxConcurrentStreams, c.o.MaxConcurrentStreams)
		if c.o.AllowConnect {
			add(http2.SettingEnableConnectProtocol, 1)
		}
	}
	if c.o.InitialStreamWindow != minWindow {
		add(http2.SettingInitialWindowSize, c.o.InitialStreamWindow)
	}
	add(http2.SettingMaxHeaderListSize, c.o.Fields.MaxListSize)
	c.out.settings(s)
	if n := c.o.InitialConnWindow - minWindow; n > 0 {
		c.out.windowUpdate(0, n)
	}
}

// fail ends the connection, once: every stream hears of it, the reading goroutine
// is woken. The lock is held.
func (c *core) fail(err error) {
	if c.err != nil {
		return
	}
	c.err = err
	c.goneAway = true
	c.table.each(func(s *half) {
		c.reset(s, c.lost(s))
	})
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	c.out.broadcast()
	c.note = true
}

// lost is the error of a stream whose connection broke.
func (c *core) lost(s *half) error {
	return &codec.ResetError{Code: uint32(http2.ErrCodeCancel), Unprocessed: c.client && !s.left(), Reason: reasonTermination}
}

// abort ends the connection because of the peer's fault: GOAWAY tells it. The lock
// is held.
func (c *core) abort(e *ConnError) {
	if c.err != nil {
		return
	}
	if e.count != nil {
		e.count.Inc()
	}
	c.out.goAway(c.lastPeerStream(), e.Code, e.Reason)
	c.fail(e)
}

// lastPeerStream is what a GOAWAY of ours names: the last stream that we may have
// acted on.
func (c *core) lastPeerStream() uint32 {
	return c.lastID
}

// kill ends the connection at once, without a word: the peer does not listen.
func (c *core) kill(err error) {
	c.fail(err)
	_ = c.conn.SetWriteDeadline(time.Unix(1, 0))
	if c.out.err == nil && !c.out.flushing {
		c.out.broke(err)
	}
}

// reset ends a stream in both directions with an error. The lock is held.
func (c *core) reset(s *half, err error) {
	if s.err == nil {
		s.err = err
	}
	if !s.ended {
		c.discard(s)
	}
	c.remove(s)
	s.wake()
	if s.gone != nil {
		s.gone()
	}
}

// remove takes a stream out of the table: it is over, or was reset.
func (c *core) remove(s *half) {
	if !s.listed {
		return
	}
	s.listed = false
	c.table.del(s)
	c.st.StreamsActive.Dec()
	c.out.unblock(s)
	s.uncount()
}

// rst resets a stream by our will. The lock is held.
func (c *core) rst(s *half, code http2.ErrCode, err error) {
	if s.listed {
		c.out.rst(s.id, code)
		c.closed.add(s.id, buriedByUs)
	}
	c.reset(s, err)
}

// over removes a stream when both its halves are. The lock is held.
func (c *core) over(s *half) {
	if s.ended && s.sentEnd && s.listed {
		c.closed.add(s.id, buriedInPeace)
		c.remove(s)
	}
}

// bytes are how many came and went.
func (c *core) bytes() (in, out uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received, c.out.sent
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

// isTimeout tells whether a read or write was woken by a deadline.
func isTimeout(err error) bool { return err == os.ErrDeadlineExceeded || codec.Timeout(err) }
