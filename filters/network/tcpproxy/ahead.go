package tcpproxy

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream"
)

// An ahead is an upstream connection that was begun before the filter had the downstream one (conn.Ahead). Its goroutine
// dials, and listens to the server until Settle.
type ahead struct {
	// set in OpenAhead, never changed
	cluster *upstream.Cluster
	host    *upstream.Host
	dest    netip.AddrPort
	open    upstream.OpenInfo
	cancel  context.CancelFunc
	woken   func()
	heard   chan struct{} // closed once the goroutine listens no more

	spoke atomic.Bool // said or over is there

	// set before heard is closed; up also before listening is set
	up   *upstream.TCP
	err  *upstream.Error
	said buffer.Buf
	over error // why there is no more; io.EOF when the server ended its side

	taken bool // owned by the goroutine that serves the downstream connection

	mu        sync.Mutex
	settled   bool // guarded by mu: nobody wants to be woken
	listening bool // guarded by mu
}

// OpenAhead implements filters.AheadOpener.
func (f *filter) OpenAhead(c *conn.Conn, woken func()) conn.Ahead {
	i := &c.Info
	dest := i.Original()
	if len(f.c.clusters) != 1 {
		return nil
	}
	cl, ok := f.up.Get(f.c.clusters[0].name)
	if !ok || !cl.GoesTo(dest) {
		return nil
	}
	h, err := cl.Pick(&upstream.PickInfo{Dest: dest})
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithCancel(base(c))
	a := &ahead{
		cluster: cl, host: h, dest: dest, cancel: cancel, woken: woken,
		heard: make(chan struct{}),
	}
	a.open = upstream.OpenInfo{Loop: c.Loop, Namespace: c.Namespace, Abortable: true}
	a.open.Borrow(i, h.Address())
	go a.run(ctx)
	return a
}

func (a *ahead) run(ctx context.Context) {
	defer close(a.heard)
	a.up, a.err = a.cluster.OpenTCP(ctx, a.host, &a.open)
	a.cancel() // ctx is of the dialling only
	if a.err != nil {
		return
	}
	a.mu.Lock()
	a.listening = !a.settled
	a.mu.Unlock()
	if !a.listening {
		return
	}
	_, err := a.up.ReadBuf(&a.said)
	if errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return // Settle, or Discard
	}
	a.over = err
	a.spoke.Store(true)
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.settled {
		a.woken()
	}
}

// Spoke implements conn.Ahead.
func (a *ahead) Spoke() bool { return a.spoke.Load() }

// Said implements conn.Ahead.
func (a *ahead) Said() []byte { return a.said.Bytes() }

// Settle implements conn.Ahead.
func (a *ahead) Settle() {
	a.mu.Lock()
	was, listening := a.settled, a.listening
	a.settled = true
	a.mu.Unlock()
	if listening {
		if !was {
			_ = a.up.SetReadDeadline(time.Unix(1, 0)) // closed already: nothing is read
		}
		<-a.heard
	}
}

// Taken implements conn.Ahead.
func (a *ahead) Taken() bool { return a.taken }

// Discard implements conn.Ahead.
func (a *ahead) Discard() {
	if a.taken {
		return
	}
	a.cancel()
	a.Settle()
	<-a.heard
	if a.up != nil {
		_ = a.up.Close()
	}
	a.said.Discard()
}

// fits tells whether the connection is the one that the filter would open now.
func (a *ahead) fits(cl *upstream.Cluster, h *upstream.Host, o *upstream.OpenInfo) bool {
	return a.cluster == cl && a.host == h && a.open.Source == o.Source && a.open.Transparent == o.Transparent && a.open.Mark == o.Mark
}

// take gives the connection to the filter that serves the downstream one, once it is connected.
func (a *ahead) take(deadline time.Time) (*upstream.TCP, *upstream.Error) {
	a.Settle()
	stop := context.CancelFunc(func() {})
	if !deadline.IsZero() {
		t := time.AfterFunc(time.Until(deadline), a.cancel)
		stop = func() { t.Stop() }
	}
	<-a.heard
	stop()
	switch {
	case a.err != nil:
		return nil, a.err
	case a.over != nil && !errors.Is(a.over, io.EOF):
		// The server broke it off: what reads it now would see a clean end.
		a.up.Report(upstream.Outcome{Failure: upstream.Reset})
		_ = a.up.Reset()
		return nil, &upstream.Error{Op: "read", Host: a.host.Address(), Flag: info.UpstreamConnectionTermination, Details: upstream.DetailsTermination, Err: a.over}
	}
	if err := a.up.SetReadDeadline(time.Time{}); err != nil {
		_ = a.up.Close()
		return nil, &upstream.Error{Op: "read", Host: a.host.Address(), Flag: info.UpstreamConnectionTermination, Details: upstream.DetailsTermination, Err: err}
	}
	return a.up, nil
}

// takeAhead gives the connection that was opened ahead, when it is the one that is wanted; one that is not is closed.
func takeAhead(c *conn.Conn, cl *upstream.Cluster, h *upstream.Host, o *upstream.OpenInfo) (up *upstream.TCP, said *buffer.Buf, err *upstream.Error, there bool) {
	if c.Ahead == nil || c.Ahead.Taken() {
		return nil, nil, nil, false
	}
	a, ok := c.Ahead.(*ahead)
	if !ok || !a.fits(cl, h, o) {
		c.Ahead.Discard()
		return nil, nil, nil, false
	}
	a.taken = true
	up, err = a.take(o.Deadline)
	return up, &a.said, err, true
}
