package h2

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
)

// lateTest runs f with a stream whose response is complete and whose request, of any
// length, is not.
func lateTest(t *testing.T, o Options, f func(p *pair, x *ClientStream)) {
	t.Helper()
	o.LateGrace = time.Second
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, &o, &Options{}, serving(func(r *request) { answer(r) }), ClientEvents{})
		x := p.open(t)
		must(t, x.WriteHeaders(post("/"), false))
		must(t, x.Flush())
		if code, _, _, body := response(t, x); code != 200 || string(body) != string(hello) {
			t.Fatal(code, string(body))
		}
		f(p, x)
		x.Release()
		var resp, trailers header.Headers
		must(t, roundTrip(p.k, get("/"), &resp, &trailers)) // the connection is well
		synctest.Wait()
		p.srv.mu.Lock()
		defer p.srv.mu.Unlock()
		if n := len(p.srv.late); n != 0 || p.srv.table.n != 0 {
			t.Errorf("%d latecomers, %d streams left", n, p.srv.table.n)
		}
	})
}

// isLate is the reset that ends a latecomer.
func isLate(err error) bool {
	var re *codec.ResetError
	return errors.As(err, &re) && re.Remote && re.Code == uint32(http2.ErrCodeNo)
}

func TestALateRequestMayEnd(t *testing.T) {
	lateTest(t, Options{}, func(p *pair, x *ClientStream) {
		pass(900 * time.Millisecond)
		must(t, x.WriteBody(hello, false))
		must(t, x.WriteBody(hello, true))
		must(t, x.Flush())
		pass(10 * time.Second)
		if n := p.st.TxReset.Value(); n != 0 {
			t.Errorf("%d resets", n)
		}
	})
}

func TestALateRequestMayEndWithTrailers(t *testing.T) {
	lateTest(t, Options{}, func(p *pair, x *ClientStream) {
		must(t, x.WriteTrailers(fieldsOf("a", "b")))
		must(t, x.Flush())
		pass(10 * time.Second)
		if n := p.st.TxReset.Value(); n != 0 {
			t.Errorf("%d resets", n)
		}
	})
}

func TestALateRequestIsResetInTheEnd(t *testing.T) {
	lateTest(t, Options{}, func(p *pair, x *ClientStream) {
		pass(999 * time.Millisecond)
		synctest.Wait()
		must(t, x.WriteBody(hello, false))
		pass(2 * time.Millisecond)
		synctest.Wait()
		if err := x.WriteBody(hello, false); !isLate(err) {
			t.Errorf("after its time: %v", err)
		}
	})
}

// TestALateRequestHasItsWindow: no more than that is thrown away, and the
// connection's opens again for it.
func TestALateRequestHasItsWindow(t *testing.T) {
	lateTest(t, Options{InitialStreamWindow: 65535, InitialConnWindow: 65535}, func(p *pair, x *ClientStream) {
		start := time.Now()
		if err := x.WriteBody(make([]byte, 65535), false); err != nil {
			t.Error(err)
		}
		_ = x.Flush() // it may hear already
		synctest.Wait()
		if err := x.WriteBody(hello, false); !isLate(err) {
			t.Errorf("beyond its window: %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("only after %v", d)
		}
		p.k.mu.Lock()
		win := p.k.sendWin
		p.k.mu.Unlock()
		if win < 65535/2 {
			t.Errorf("the connection's window is %d", win)
		}
	})
}

func TestALateRequestMayBeReset(t *testing.T) {
	lateTest(t, Options{}, func(p *pair, x *ClientStream) {
		x.s.c.mu.Lock()
		x.s.c.rst(&x.s, http2.ErrCodeCancel, errReleased)
		x.s.c.out.kick()
		x.s.c.mu.Unlock()
	})
}

// TestADrainWaitsForLateRequests: for their grace, and not for their reset.
func TestADrainWaitsForLateRequests(t *testing.T) {
	for _, ends := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p := newPair(t, &Options{LateGrace: time.Second}, &Options{}, serving(func(r *request) { answer(r) }), ClientEvents{})
			x := p.open(t)
			must(t, x.WriteHeaders(post("/"), false))
			must(t, x.Flush())
			response(t, x)
			start := time.Now()
			p.srv.Drain()
			pass(500 * time.Millisecond)
			want := time.Second
			if ends {
				want = 500 * time.Millisecond
				must(t, x.WriteBody(hello, true))
				must(t, x.Flush())
			}
			<-p.done
			x.Release()
			if d := time.Since(start); p.rig.err != ErrDrained || d < want || d > want+10*time.Millisecond {
				t.Errorf("ends %v: after %v: %v", ends, d, p.rig.err)
			}
			if n := p.st.TxReset.Value(); (n == 0) != ends {
				t.Errorf("ends %v: %d resets", ends, n)
			}
		})
	}
}

// TestLatecomersAreBounded: who lets very many requests hang has the first reset.
func TestLatecomersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPair(t, &Options{LateGrace: time.Second}, &Options{}, serving(func(r *request) { answer(r) }), ClientEvents{})
		var all []*ClientStream
		for range maxLatecomers + 3 {
			x := p.open(t)
			must(t, x.WriteHeaders(post("/"), false))
			must(t, x.Flush())
			response(t, x)
			all = append(all, x)
		}
		synctest.Wait()
		if n := p.st.TxReset.Value(); n != 3 {
			t.Errorf("%d resets", n)
		}
		for _, x := range all {
			x.Release()
		}
	})
}
