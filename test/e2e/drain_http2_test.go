package e2e

import (
	"io"
	"net/http"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/test/rig"
)

// TestSIGTERMLosesNoStream: clients of HTTP/2 that never pause get an answer to all
// they sent until they heard that their connections go away.
func TestSIGTERMLosesNoStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.serveHTTP(w.at4("8081"), func(rw http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(rw, "whole") })
	p := w.start(plain, "--drain-strategy", "gradual", "--drain-time-s", "10")
	const clients = 4
	var under, over sync.WaitGroup
	under.Add(clients)
	for range clients {
		h := rig.ClientH2(t, w.dial(w.gateway()))
		over.Go(func() {
			if err := h.Load(100, under.Done); err != nil {
				t.Error(err)
			}
		})
	}
	under.Wait()
	p.signal(unix.SIGTERM)
	over.Wait()
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
