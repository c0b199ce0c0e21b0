package sds

import (
	"crypto/tls"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// A rotation is seen by the next handshake after the push was answered. It costs nobody a connection, under load, twenty times over:
// old connections live on, no handshake fails, no listener is touched, and tickets resume sessions of the certificate before.
func TestRotationUnderLoad(t *testing.T) {
	w := newWorld(t, options{})
	in := w.listener("in", byADS("server"))
	p := w.ca.issue("a.example")
	w.push("", in, p.secret("server"))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	addr := w.at("in")
	if got := w.serial("in"); got != p.serial {
		t.Fatalf("serial %d, want %d", got, p.serial)
	}

	old, err := w.dial("in", w.client())
	w.must(err)
	defer old.Close()
	_, err = old.ask()
	w.must(err)
	resuming := w.client()
	resuming.ClientSessionCache = tls.NewLRUClientSessionCache(4)
	first, err := w.dial("in", resuming)
	w.must(err)
	_, err = first.ask() // the ticket comes with it
	w.must(err)
	w.must(first.Close())

	var stop atomic.Bool
	var made atomic.Int64
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for !stop.Load() {
				c, err := w.dial("in", w.client())
				if err != nil {
					t.Errorf("handshake under load: %v", err)
					return
				}
				for range 3 {
					if body, err := c.ask(); err != nil || body != "in" {
						t.Errorf("request under load: %q, %v", body, err)
					}
				}
				_ = c.Close()
				made.Add(1)
			}
		})
	}
	for i := range 20 {
		p = w.ca.issue("a.example")
		w.push("", in, p.secret("server"))
		if got := w.serial("in"); got != p.serial {
			t.Errorf("rotation %d: serial %d, want %d", i, got, p.serial)
		}
		if _, err := old.ask(); err != nil {
			t.Fatalf("rotation %d: an old connection: %v", i, err)
		}
	}
	stop.Store(true)
	load.Wait()
	t.Logf("%d connections under load", made.Load())

	again, err := w.dial("in", resuming)
	w.must(err)
	defer again.Close()
	if _, err := again.ask(); err != nil {
		t.Error(err)
	}
	if !again.ConnectionState().DidResume {
		t.Error("a ticket from before the rotations does not resume")
	}
	if w.at("in") != addr {
		t.Errorf("the listener moved from %s to %s", addr, w.at("in"))
	}
	for name, want := range map[string]int64{
		"listener_manager.listener_added": 1, "listener_manager.listener_modified": 0, "listener_manager.listener_in_place_updated": 0,
		"listener_manager.listener_removed": 0,
	} {
		if got := w.stat(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
}

// Until its secret comes a listener does not listen; past the deadline it does, and refuses handshakes until the secret comes.
func TestSecretComesLate(t *testing.T) {
	w := newWorld(t, options{deadline: 300 * time.Millisecond})
	in := w.listener("in", byADS("server"))
	w.must(w.srv.SetResources(in))
	w.wait("the wait", func() bool {
		st := w.xds.Status()
		return len(st.Warming) == 1 && st.Warming[0].Blocker == `SDS "server"`
	})
	if w.at("in") != "" {
		t.Error("it listens without its certificate")
	}
	w.wait("the deadline", func() bool { return w.at("in") != "" })
	if !strings.Contains(w.logs(), `listener "in" goes in after`) {
		t.Errorf("log: %s", w.logs())
	}
	if c, err := w.dial("in", w.client()); err == nil {
		_ = c.Close()
		t.Error("a handshake without a certificate")
	}
	p := w.ca.issue("a.example")
	w.push("", in, p.secret("server"))
	if got := w.serial("in"); got != p.serial {
		t.Errorf("serial %d", got)
	}
}

// A secret that is refused keeps the last good one, and the control plane reads why, without the key.
func TestRefusedSecretKeepsTheLastGood(t *testing.T) {
	w := newWorld(t, options{})
	in := w.listener("in", byADS("server"))
	good, other := w.ca.issue("a.example"), w.ca.issue("a.example")
	w.push("", in, good.secret("server"))
	wrong := good
	wrong.key = other.key
	w.push(`secret "server"`, in, wrong.secret("server"))
	wrong.key = other.key[:200]
	w.push(`secret "server"`, in, wrong.secret("server"))
	if got := w.serial("in"); got != good.serial {
		t.Errorf("serial %d, want %d", got, good.serial)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.answers {
		for _, s := range other.shown() {
			if strings.Contains(a.Err, s) {
				t.Errorf("the NACK shows the key: %s", a.Err)
			}
		}
	}
}

// A listener that nothing refers to a secret of any more lets it go; what still uses it keeps it.
func TestRemoved(t *testing.T) {
	w := newWorld(t, options{})
	a, b := w.listener("a", byADS("server")), w.listener("b", byADS("server"))
	p := w.ca.issue("a.example")
	w.push("", a, b, p.secret("server"))
	w.wait("both", func() bool { return w.at("a") != "" && w.at("b") != "" })
	w.must(w.srv.SetResources(b, p.secret("server")))
	w.wait("a to go", func() bool { return w.at("a") == "" })
	if got := w.serial("b"); got != p.serial {
		t.Errorf("serial %d", got)
	}
	w.must(w.srv.SetResources(b)) // absence from a response says nothing: the secret serves on
	if got := w.serial("b"); got != p.serial {
		t.Errorf("serial %d", got)
	}
	w.must(w.srv.SetResources([]proto.Message{}...))
	w.wait("the secret to go", func() bool { return len(w.proxy.Snapshot().Secrets) == 0 && len(w.proxy.Snapshot().Listeners) == 0 })
}
