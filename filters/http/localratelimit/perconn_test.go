package localratelimit

import (
	"runtime"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/tokenbucket"
)

func TestBucketOfAConnectionGoesWithIt(t *testing.T) {
	p := &perConn{fresh: func(now time.Time) *tokenbucket.Bucket { return tokenbucket.New(now, 1, 1, time.Hour) }}
	now := time.Now()
	count := func() (n int) {
		p.buckets.Range(func(any, any) bool { n++; return true })
		return n
	}
	func() {
		a, b := conn.New(nil), conn.New(nil)
		if first := p.of(a, now); first == p.of(b, now) || first != p.of(a, now) {
			t.Error("buckets are mixed up")
		}
		if n := testing.AllocsPerRun(100, func() { p.of(a, now) }); n > 0 {
			t.Errorf("finding a bucket allocates %v", n)
		}
		runtime.KeepAlive(b)
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 2000 {
		runtime.GC()
		if count() == 0 {
			return
		}
		<-tick.C
	}
	t.Errorf("%d buckets stayed", count())
}
