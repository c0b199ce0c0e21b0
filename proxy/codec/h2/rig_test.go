package h2

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newStats() *Stats { return stats.Fill[Stats](stats.NewStore().Scope("http2")) }

// request is what a test's handler has of a stream.
type request struct {
	*ServerStream
	h, t, out header.Headers
}

// handler serves streams with a function.
type handler struct {
	serve   func(*request)
	pool    sync.Pool
	mu      sync.Mutex
	refused []error
}

func serving(f func(*request)) *handler {
	return &handler{serve: f, pool: sync.Pool{New: func() any { return new(request) }}}
}

func (h *handler) NewStream(st *ServerStream) (*header.Headers, *header.Headers) {
	r := h.pool.Get().(*request)
	r.ServerStream = st
	r.h.Reset()
	r.t.Reset()
	r.out.Reset()
	st.User = r
	return &r.h, &r.t
}

func (h *handler) ServeStream(st *ServerStream) {
	r := st.User.(*request)
	h.serve(r)
	st.Finish()
	r.ServerStream = nil
	h.pool.Put(r)
}

func (h *handler) Retire(*ServerStream) {}

func (h *handler) Refused(st *ServerStream, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused = append(h.refused, err)
}

// rig is a server that serves one end of a connection.
type rig struct {
	srv  *Server
	st   *Stats
	c    *conn.Conn
	peer netio.Conn
	err  error
	done chan struct{}
}

func serve(c, peer netio.Conn, o *Options, h Handler, idle, age time.Duration) *rig {
	r := &rig{st: newStats(), c: conn.New(c), peer: peer, done: make(chan struct{})}
	r.srv = NewServer(r.c, o, r.st, h)
	go func() {
		r.err = r.srv.Serve(idle, age)
		_ = r.c.Close()
		close(r.done)
	}()
	return r
}

// pair is a client and a server over memory.
type pair struct {
	*rig
	k   *ClientConn
	kst *Stats
}

func newPair(t testing.TB, so, ko *Options, h Handler, ev ClientEvents) *pair {
	t.Helper()
	a, b := netio.Pipe(0)
	return pairOver(t, a, b, so, ko, h, ev)
}

func pairOver(t testing.TB, a, b netio.Conn, so, ko *Options, h Handler, ev ClientEvents) *pair {
	t.Helper()
	p := &pair{rig: serve(a, b, so, h, 0, 0), kst: newStats()}
	k, err := NewClientConn(b, ko, p.kst, ev)
	if err != nil {
		t.Fatal(err)
	}
	p.k = k
	t.Cleanup(p.close)
	return p
}

func (p *pair) close() {
	p.k.Close()
	<-p.k.Done()
	<-p.done
}

func fieldsOf(kv ...string) *header.Headers {
	h := new(header.Headers)
	for i := 0; i < len(kv); i += 2 {
		h.AddString(header.Intern(kv[i]), kv[i+1])
	}
	return h
}

func get(path string) *header.Headers {
	return fieldsOf(":method", "GET", ":scheme", "http", ":authority", "example.org", ":path", path)
}

func post(path string, more ...string) *header.Headers {
	h := fieldsOf(more...)
	g := fieldsOf(":method", "POST", ":scheme", "http", ":authority", "example.org", ":path", path)
	for i := range h.Len() {
		n, v := h.At(i)
		g.AddRaw(n, v)
	}
	return g
}

// open begins an exchange or ends the test.
func (p *pair) open(t testing.TB) *ClientStream {
	t.Helper()
	x, err := p.k.Open()
	if err != nil {
		t.Fatal(err)
	}
	x.Begin(nil)
	return x
}

// bodyOf reads a body to its end.
func bodyOf(read func() ([]byte, bool, error)) ([]byte, error) {
	var b bytes.Buffer
	for {
		p, end, err := read()
		b.Write(p)
		if err != nil || end {
			return b.Bytes(), err
		}
	}
}

// response reads a final head and its body.
func response(t testing.TB, x *ClientStream) (code int, h, tr *header.Headers, body []byte) {
	t.Helper()
	h, tr = new(header.Headers), new(header.Headers)
	for code < 200 {
		var err error
		if code, err = x.ReadHeaders(h); err != nil {
			t.Fatal(err)
		}
	}
	if x.StartBody(tr) {
		return code, h, tr, nil
	}
	body, err := bodyOf(x.ReadBody)
	if err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return code, h, tr, body
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// soon is a deadline that lets a read have what is there.
func soon() time.Time { return time.Now().Add(time.Nanosecond) }

// pass lets time go by; synctest's, not the clock's.
func pass(d time.Duration) { <-time.NewTimer(d).C }
