package flows

import (
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

// Live is what is known of a connection that goes on.
type Live struct {
	Conn  info.Conn // a copy, without what may still change
	State string    // sniffing or live
	// Wire asks for the bytes that came from the client and that it has got; not ok: unknown.
	Wire func() (received, sent uint64, ok bool)
}

// Flow is what is told of a connection that goes on, but for its bytes.
func (l *Live) Flow(now time.Time) Flow {
	var e Entry
	c := &l.Conn
	e.of(c, c.Start)
	e.kind, e.state, e.tls, e.cluster, e.host = connection, live, c.TLSVersion != "", c.UpstreamCluster, c.UpstreamHost
	f := (*Table)(nil).flow(&e.record, now)
	f.State = l.State
	return f
}
