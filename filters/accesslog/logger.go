package accesslog

import (
	"sync"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// maxKept is the largest line, in bytes, whose memory is kept for the next.
const maxKept = 64 << 10

// A Logger formats lines into a sink.
type Logger struct {
	format *Format
	sink   filters.Sink
	lines  sync.Pool // of *[]byte
}

var _ filters.AccessLogger = (*Logger)(nil)

// NewLogger makes a logger.
func NewLogger(f *Format, to filters.Sink) *Logger { return &Logger{format: f, sink: to} }

// Log implements filters.AccessLogger.
func (l *Logger) Log(c *conn.Conn, s *stream.Stream) {
	p, ok := l.lines.Get().(*[]byte)
	if !ok {
		p = new([]byte)
	}
	*p = l.format.Append((*p)[:0], c, s)
	// A sink counts what it cannot write: the request is over, and nobody else
	// could do more about it.
	_, _ = l.sink.Write(*p)
	if cap(*p) <= maxKept {
		l.lines.Put(p)
	}
}
