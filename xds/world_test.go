package xds_test

import (
	"context"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/server"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"google.golang.org/protobuf/proto"
)

// world is a control plane and a client of it.
type world struct {
	t       testing.TB
	addr    string
	srv     *server.Server
	stop    func() // the server
	client  *xds.Client
	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever something below changes
	snaps   []*config.Snapshot
	answers []server.Answer
	logs    chan<- string // of the client, besides; may be nil
}

func newWorld(t testing.TB) *world {
	return &world{t: t, changed: make(chan struct{})}
}

func (w *world) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

// wait blocks until what holds, which is called again after every snapshot, answer and log line, or fails.
func (w *world) wait(what string, holds func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	for {
		w.mu.Lock()
		ok, changed := holds(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			st := w.client.Status()
			for _, t := range st.Types {
				w.t.Logf("%s: version %q, %d resources, last NACK %+v", t.Short, t.Version, len(t.Resources), t.NACK)
			}
			w.t.Fatalf("waited in vain for %s; sources: %+v, waiting: %+v, answers: %+v", what, st.Sources, st.Warming, w.answers)
		}
	}
}

// serve starts a control plane on the world's address, or on a new one.
func (w *world) serve(dir string, o server.Options) {
	w.t.Helper()
	if w.addr == "" {
		w.addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.addr = l.Addr().String()
	w.serveOn(l, dir, o)
}

func (w *world) serveOn(l net.Listener, dir string, o server.Options) {
	w.t.Helper()
	o.OnAnswer = func(a server.Answer) { w.note(func() { w.answers = append(w.answers, a) }) }
	s, err := server.New(dir, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.srv = s
	w.stop = background(w.t, func(ctx context.Context) error { return s.Serve(ctx, l) })
}

// connect starts the client.
func (w *world) connect(o xds.Options) {
	o.Node = &corev3.Node{Id: "gw-1"}
	if o.Decode == nil {
		o.Decode = decode
	}
	if o.Apply == nil {
		o.Apply = func(s *config.Snapshot) error { w.note(func() { w.snaps = append(w.snaps, s) }); return nil }
	}
	o.RetryBase = time.Millisecond
	o.Logger = zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(zapcore.EncoderConfig{MessageKey: "m"}), logged{w}, zap.DebugLevel))
	if len(o.Files)+len(o.Remotes) == 0 && o.ADS == nil {
		o.ADS = &xds.ADS{Services: xds.Servers(w.addr)}
	}
	w.client = xds.New(o)
	background(w.t, func(ctx context.Context) error { _ = w.client.Run(ctx); return nil })
}

// logged wakes wait when the client logs.
type logged struct{ w *world }

func (l logged) Write(p []byte) (int, error) {
	l.w.note(func() {})
	select {
	case l.w.logs <- string(p):
	default:
	}
	return len(p), nil
}

func (logged) Sync() error { return nil }

// background runs f until the test ends or the returned function is called.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// last gives the newest snapshot. It is called from wait.
func (w *world) last() *config.Snapshot {
	if len(w.snaps) == 0 {
		return &config.Snapshot{}
	}
	return w.snaps[len(w.snaps)-1]
}

// now is last outside of wait.
func (w *world) now() *config.Snapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last()
}

// answered says whether the server saw an answer of a type with an error that contains text ("": an ACK) for its present version.
func (w *world) answered(typeURL, text string) bool {
	v := w.srv.Version(typeURL)
	return slices.ContainsFunc(w.answers, func(a server.Answer) bool {
		return a.TypeURL == typeURL && a.Version == v && (a.Err == "") == (text == "") && strings.Contains(a.Err, text)
	})
}

func (w *world) seen() []server.Answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.answers)
}

func (w *world) set(resources ...proto.Message) {
	w.t.Helper()
	if err := w.srv.SetResources(resources...); err != nil {
		w.t.Fatal(err)
	}
}

// nackOf gives the last NACK of a type.
func nackOf(st xds.Status, typeURL string) *xds.NACK {
	for _, t := range st.Types {
		if t.TypeURL == typeURL {
			return t.NACK
		}
	}
	return nil
}
