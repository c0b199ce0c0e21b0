package hcm

import (
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Rehearsal is a request that the connection manager made ready for its chain,
// without one.
type Rehearsal struct {
	Stream *stream.Stream
	// Code and Details are of the answer that the connection manager itself gives; 0 when it lets the request pass.
	Code    int
	Details string
}

// Rehearse makes a request canonical as the connection manager does before anything
// is decided by it: host, path, forwarding fields, request id. Nothing is sent and
// nothing counted. The head has its pseudo-headers; table is what the request's route
// is found in.
func (c *Config) Rehearse(ci *info.Conn, version info.Protocol, head *header.Headers, table *route.Table, rand uint64) Rehearsal {
	own := *c
	m := &Manager{cfg: &own, stats: stats.Fill[Stats](stats.NewStore().Scope("")), live: new(route.Live)}
	m.live.Store(table)
	s := stream.New(stream.NewChain([]stream.Named{{Name: "end", Filter: nobody{}}}, new(stream.Slots), m))
	deaf := new(deaf)
	s.Begin(&conn.Conn{Info: *ci}, deaf, m.live, rand)
	s.Info.Start = time.Now()
	s.Request.CopyFrom(head)
	a := arrival{
		version: version, noBody: true, head: string(head.Value(header.Method)) == "HEAD",
		connect: string(head.Value(header.Method)) == "CONNECT", upgrade: head.Has(header.Upgrade),
	}
	m.adopt(s, &a)
	m.prepare(s, deaf, &a)
	return Rehearsal{Stream: s, Code: deaf.code, Details: s.Info.Details}
}

// nobody ends a chain that is not run.
type nobody struct{}

// ServeStream implements filters.Terminal.
func (nobody) ServeStream(*stream.Stream) error { return nil }

// deaf is a codec without a client; it remembers the status.
type deaf struct{ code int }

var _ stream.Codec = (*deaf)(nil)

func (d *deaf) ProxyContinue() {}

// ReadBody implements stream.Codec.
func (d *deaf) ReadBody() ([]byte, bool, error) { return nil, true, nil }

// SetReadDeadline implements stream.Codec.
func (d *deaf) SetReadDeadline(time.Time) {}

// WriteInformational implements stream.Codec.
func (d *deaf) WriteInformational(*header.Headers) error { return nil }

// WriteHeaders implements stream.Codec.
func (d *deaf) WriteHeaders(h *header.Headers, _ bool) error {
	for _, c := range h.Value(header.Status) {
		d.code = d.code*10 + int(c-'0')
	}
	return nil
}

// WriteBody implements stream.Codec.
func (d *deaf) WriteBody([]byte, bool) error { return nil }

// WriteTrailers implements stream.Codec.
func (d *deaf) WriteTrailers(*header.Headers) error { return nil }

// Flush implements stream.Codec.
func (d *deaf) Flush() error { return nil }

// SpliceBody implements stream.Codec.
func (d *deaf) SpliceBody(*netio.Timed, int64, time.Duration, time.Time) (int64, bool, error) {
	return 0, false, nil
}

// Interrupt implements stream.Codec.
func (d *deaf) Interrupt() {}

// Resume implements stream.Codec.
func (d *deaf) Resume() {}

// Gone implements stream.Codec.
func (d *deaf) Gone() bool { return false }

// Upgrade implements stream.Codec.
func (d *deaf) Upgrade() (netio.Conn, []byte) { return nil, nil }
