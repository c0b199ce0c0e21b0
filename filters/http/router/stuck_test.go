package router_test

import (
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/rig"
)

// TestCloseEndsAStuckUpload: a server that takes nothing and says nothing does not
// keep Weir from ending, whatever time the route allows.
func TestCloseEndsAStuckUpload(t *testing.T) {
	stuck := rig.TCPOrigin(t, func(*net.TCPConn) { <-t.Context().Done() })
	failed := make(chan struct{})
	t.Run("serving", func(t *testing.T) { // Weir ends with it
		r := newRig(t, strings.Replace(toA, `"cluster":"a"`, `"cluster":"a","timeout":"0s"`, 1), map[string]string{"a": stuck})
		var body endless
		c := rig.Client(t)
		go func() {
			defer close(failed)
			if resp, err := c.Post("http://"+r.Addr+"/", "application/octet-stream", &body); err == nil {
				resp.Body.Close()
			}
		}()
		// Until every buffer on the way is full, and Weir waits for room.
		still := time.NewTicker(100 * time.Millisecond)
		defer still.Stop()
		for last := int64(-1); last <= 0 || body.n.Load() != last; <-still.C {
			last = body.n.Load()
		}
	})
	<-failed
}

// endless is a body without an end.
type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n.Add(int64(len(p)))
	return len(p), nil
}
