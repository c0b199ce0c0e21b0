package h2

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/weirproxy/weir/proxy/header"
)

// browserRequest and originResponse have 9 and 6 fields, as most do.
func browserRequest(h *header.Headers) {
	h.AddString(header.Method, "GET")
	h.AddString(header.Scheme, "http")
	h.AddString(header.Authority, "www.example.org")
	h.AddString(header.Path, "/a/path")
	h.AddString(header.UserAgent, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	h.AddString(header.Intern("accept"), "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	h.AddString(header.Intern("accept-language"), "en-US,en;q=0.5")
	h.AddString(header.Intern("accept-encoding"), "gzip, deflate, br, zstd")
	h.AddString(header.XRequestID, "2f1c9a9e-6a0f-4f5e-9d57-4f2b3c0c1a11")
}

func originResponse(h *header.Headers) {
	h.AddString(header.Status, "200")
	h.AddString(header.Server, "weir")
	h.AddString(header.Date, "Tue, 24 Nov 2026 09:00:00 GMT")
	h.AddString(header.ContentType, "text/plain")
	h.AddString(header.ContentLength, "13")
	h.AddString(header.Vary, "accept-encoding")
}

var hello = []byte("Hello, world!")

func answer(r *request) {
	originResponse(&r.out)
	if r.WriteHeaders(&r.out, false) == nil {
		_ = r.WriteBody(hello, true)
	}
}

// roundTrip is one exchange; req, resp and trailers are its scratch.
func roundTrip(k *ClientConn, req, resp, trailers *header.Headers) error {
	x, err := k.Open()
	if err != nil {
		return err
	}
	x.Begin(nil)
	if err := x.WriteHeaders(req, true); err != nil {
		return err
	}
	if _, err := x.ReadHeaders(resp); err != nil {
		return err
	}
	for end := x.StartBody(trailers); !end; {
		if _, end, err = x.ReadBody(); err != nil {
			return err
		}
	}
	x.Release()
	return nil
}

// TestSteadyStateAllocatesNothing: an exchange over sockets, both sides counted.
// What allocates is hpack's decoder, once for each string that comes as a literal:
// ids and dates that differ each time, and fields whose places in the encoder's
// memory collide, which depends on its seed. So the best of some connections counts.
func TestSteadyStateAllocatesNothing(t *testing.T) {
	if racing {
		t.Skip("pools drop things at random under the race detector")
	}
	best := 100.0
	for range 12 {
		a, c := sockets(t)
		p := pairOver(t, a, c, &Options{}, &Options{}, serving(answer), ClientEvents{})
		var req, resp, trailers header.Headers
		browserRequest(&req)
		one := func() {
			if err := roundTrip(p.k, &req, &resp, &trailers); err != nil {
				t.Fatal(err)
			}
		}
		for range 200 {
			one()
		}
		if best = min(best, testing.AllocsPerRun(500, one)); best == 0 {
			return
		}
	}
	t.Errorf("%v allocations a request", best)
}

// BenchmarkH2RoundTrip is an exchange, both sides counted, with 1 and with 50
// streams at a time.
func BenchmarkH2RoundTrip(b *testing.B) {
	for _, streams := range []int{1, 50} {
		b.Run(strconv.Itoa(streams), func(b *testing.B) {
			a, c := sockets(b)
			p := pairOver(b, a, c, &Options{}, &Options{}, serving(answer), ClientEvents{})
			b.ReportAllocs()
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range streams {
				wg.Go(func() {
					var req, resp, trailers header.Headers
					browserRequest(&req)
					for left.Add(-1) >= 0 {
						if err := roundTrip(p.k, &req, &resp, &trailers); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// BenchmarkH2Body is the cost of a byte of body, from one side to the other.
func BenchmarkH2Body(b *testing.B) {
	a, c := sockets(b)
	piece := make([]byte, 64<<10)
	p := pairOver(b, a, c, &Options{}, &Options{}, serving(func(r *request) {
		r.out.AddString(header.Status, "200")
		for err := r.WriteHeaders(&r.out, false); err == nil; {
			err = r.WriteBody(piece, false)
		}
	}), ClientEvents{})
	x := p.open(b)
	defer x.Release()
	if err := x.WriteHeaders(get("/"), true); err != nil {
		b.Fatal(err)
	}
	if _, err := x.ReadHeaders(new(header.Headers)); err != nil {
		b.Fatal(err)
	}
	x.StartBody(nil)
	b.SetBytes(int64(len(piece)))
	b.ReportAllocs()
	for n := 0; n < b.N*len(piece); {
		p, _, err := x.ReadBody()
		if err != nil {
			b.Fatal(err)
		}
		n += len(p)
	}
}
