package localratelimit

import (
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/tokenbucket"
)

// perConn has a bucket for each downstream connection. A connection does not know
// who looks at its streams, so an entry goes when the connection's memory does.
type perConn struct {
	fresh   func(now time.Time) *tokenbucket.Bucket
	buckets sync.Map // weak.Pointer[conn.Conn] → *tokenbucket.Bucket
}

func (p *perConn) of(c *conn.Conn, now time.Time) *tokenbucket.Bucket {
	key := weak.Make(c)
	if b, ok := p.buckets.Load(key); ok {
		return b.(*tokenbucket.Bucket)
	}
	b, loaded := p.buckets.LoadOrStore(key, p.fresh(now))
	if !loaded {
		runtime.AddCleanup(c, func(k weak.Pointer[conn.Conn]) { p.buckets.Delete(k) }, key)
	}
	return b.(*tokenbucket.Bucket)
}
