package router_test

import (
	"testing"

	"github.com/weirproxy/weir/proxy/codec/h2"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/test/rig"
)

// h2Origin answers HTTP/2 requests over our own codec, which allocates nothing.
type h2Origin struct{}

type h2Request struct{ request, trailers, response header.Headers }

func (h2Origin) NewStream(st *h2.ServerStream) (request, trailers *header.Headers) {
	r := h2Requests.get()
	st.User = r
	return &r.request, &r.trailers
}

func (h2Origin) ServeStream(st *h2.ServerStream) {
	r := st.User.(*h2Request)
	r.response.AddString(header.Status, "200")
	r.response.AddString(header.ContentType, "text/plain")
	r.response.AddString(header.ContentLength, "64")
	if st.WriteHeaders(&r.response, false) == nil {
		_ = st.WriteBody([]byte(wireBody), true)
	}
	st.Finish()
	h2Requests.put(r)
}

func (h2Origin) Refused(*h2.ServerStream, error) {}

func (h2Origin) Retire(*h2.ServerStream) {}

// requests keeps what was used before.
type requests chan *h2Request

var h2Requests = make(requests, 8)

func (c requests) get() *h2Request {
	select {
	case r := <-c:
		return r
	default:
		return new(h2Request)
	}
}

func (c requests) put(r *h2Request) {
	r.request.Reset()
	r.trailers.Reset()
	r.response.Reset()
	select {
	case c <- r:
	default:
	}
}

// rawOriginH2 is rawOrigin for HTTP/2.
func rawOriginH2(t testing.TB) string {
	ln := rig.Listen(t)
	done := make(chan struct{})
	st := stats.Fill[h2.Stats](stats.NewStore().Scope("origin"))
	go func() {
		defer close(done)
		var open []*netio.Socket
		ended := make(chan struct{})
		for {
			c, err := ln.AcceptTCP()
			if err != nil {
				break
			}
			s := socketOf(c)
			c.Close()
			open = append(open, s)
			go func() {
				defer func() { ended <- struct{}{} }()
				_ = h2.NewServer(conn.New(s), &h2.Options{}, st, h2Origin{}).Serve(0, 0)
			}()
		}
		for _, s := range open {
			s.Close()
			<-ended
		}
	}()
	t.Cleanup(func() { ln.Close(); <-done })
	return ln.Addr().String()
}

// TestSteadyStateOfHTTP2AllocatesNothing counts the proxy, the client and the
// origin of an exchange that is HTTP/2 on both sides. The request brings its id:
// a new one each time would be a literal on the way, which costs no allocation here
// but one in a peer that keeps strings.
func TestSteadyStateOfHTTP2AllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools allocate at random under the race detector")
	}
	r := rig.New(t, rig.Options{
		HCM: "{stat_prefix: test, http_filters: [$router], route_config: " + toA + "}",
		Config: `clusters: [{name: a, type: STATIC, connect_timeout: 5s, http2_protocol_options: {}, load_assignment: ` +
			rig.Endpoint("a", rawOriginH2(t)) + `}]`,
	})
	k, err := h2.NewClientConn(socketOf(r.Dial()), &h2.Options{}, stats.Fill[h2.Stats](stats.NewStore().Scope("client")), h2.ClientEvents{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { k.Close(); <-k.Done() }()
	var req, resp, trailers header.Headers
	for _, f := range [][2]string{
		{":method", "GET"},
		{":scheme", "http"},
		{":authority", "example.test"},
		{":path", "/hello?a=b"},
		{"user-agent", "bench/1"},
		{"accept", "*/*"},
		{"x-one", "1"},
		{"x-two", "2"},
		{"x-request-id", "2f1c9a9e-6a0f-4f5e-9d57-4f2b3c0c1a11"},
	} {
		req.AddString(header.Intern(f[0]), f[1])
	}
	once := func() {
		x, err := k.Open()
		if err != nil {
			t.Fatal(err)
		}
		x.Begin(nil)
		if err := x.WriteHeaders(&req, true); err != nil {
			t.Fatal(err)
		}
		code, err := x.ReadHeaders(&resp)
		if err != nil || code != 200 {
			t.Fatal(code, err)
		}
		n := 0
		for end := x.StartBody(&trailers); !end; {
			var p []byte
			if p, end, err = x.ReadBody(); err != nil {
				t.Fatal(err)
			}
			n += len(p)
		}
		if n != len(wireBody) {
			t.Fatalf("%d bytes", n)
		}
		x.Release()
	}
	for range 100 {
		once()
	}
	if n := testing.AllocsPerRun(2000, once); n != 0 {
		t.Errorf("%v allocations per request", n)
	}
}
