package netio

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"
)

// pooled is a context that serves another request after Dial has returned: a
// question that comes then is about somebody else.
type pooled struct {
	done chan struct{}
	over atomic.Bool
	late atomic.Int32
}

func (p *pooled) ask() {
	if p.over.Load() {
		p.late.Add(1)
	}
}

func (p *pooled) Deadline() (time.Time, bool) { return time.Time{}, false }
func (p *pooled) Done() <-chan struct{}       { p.ask(); return p.done }
func (p *pooled) Err() error                  { p.ask(); return nil }
func (p *pooled) Value(any) any               { return nil }

var _ context.Context = (*pooled)(nil)

func TestDialAsksItsContextNothingAfterwards(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	var all []*pooled
	for range 200 {
		p := &pooled{done: make(chan struct{})}
		s, err := Dial(p, netip.MustParseAddrPort(ln.Addr().String()), DialOptions{Loops: loops})
		if err != nil {
			t.Fatal(err)
		}
		p.over.Store(true)
		close(p.done) // the stream ends, and so does its context
		// Its end concerns the connection no more.
		if _, err := s.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		s.Close()
		all = append(all, p)
	}
	for i, p := range all {
		if n := p.late.Load(); n > 0 {
			t.Fatalf("dial %d: %d questions after it was over", i, n)
		}
	}
}
