package h2

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
)

// echo answers with the request's body, and its trailers.
func echo(r *request) {
	r.out.AddString(header.Status, "200")
	r.out.Add(header.Intern("x-path"), r.h.Value(header.Path))
	if r.WriteHeaders(&r.out, false) != nil {
		return
	}
	for {
		p, end, err := r.ReadBody()
		if err != nil {
			return
		}
		if r.t.Len() > 0 {
			if r.WriteBody(p, false) == nil {
				_ = r.WriteTrailers(&r.t)
			}
			return
		}
		if r.WriteBody(p, end) != nil || end {
			return
		}
		_ = r.Flush()
	}
}

func TestARequestAndItsResponse(t *testing.T) {
	p := newPair(t, &Options{}, &Options{}, serving(echo), ClientEvents{})
	for i := range 3 {
		x := p.open(t)
		must(t, x.WriteHeaders(get(fmt.Sprint("/", i)), true))
		code, h, _, body := response(t, x)
		if code != 200 || string(h.Value(header.Intern("x-path"))) != fmt.Sprint("/", i) || len(body) != 0 {
			t.Fatalf("%d, %d fields, %q", code, h.Len(), body)
		}
		if x.ID() != uint32(2*i+1) || !x.Sent() || !x.Started() {
			t.Fatal("stream", x.ID(), x.Sent(), x.Started())
		}
		x.Release()
	}
	if n := p.k.Active(); n != 0 {
		t.Error(n, "streams left")
	}
}

func TestBodiesAndTrailersBothWays(t *testing.T) {
	p := newPair(t, &Options{}, &Options{}, serving(echo), ClientEvents{})
	want := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	x := p.open(t)
	defer x.Release()
	must(t, x.WriteHeaders(post("/"), false))
	var wg sync.WaitGroup
	wg.Go(func() {
		for b := want; len(b) > 0; {
			n := min(len(b), 50000)
			if err := x.WriteBody(b[:n], false); err != nil {
				t.Error(err)
				return
			}
			b = b[n:]
		}
		if err := errors.Join(x.WriteTrailers(fieldsOf("x-sum", "7")), x.Flush()); err != nil {
			t.Error(err)
		}
	})
	_, _, tr, body := response(t, x)
	wg.Wait()
	if !bytes.Equal(body, want) {
		t.Errorf("%d bytes came back of %d", len(body), len(want))
	}
	if string(tr.Value(header.Intern("x-sum"))) != "7" {
		t.Errorf("trailers %v", tr)
	}
}

func TestManyStreamsAtOnce(t *testing.T) {
	o := &Options{InitialStreamWindow: 70000, InitialConnWindow: 100000}
	p := newPair(t, o, o, serving(echo), ClientEvents{})
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			for j := range 5 {
				want := bytes.Repeat([]byte{byte(i), byte(j)}, 1000*i+j)
				x, err := p.k.Open()
				if err != nil {
					t.Error(err)
					return
				}
				x.Begin(nil)
				if err := x.WriteHeaders(post("/"), false); err != nil {
					t.Error(err)
				}
				w := make(chan error, 1)
				go func() { w <- errors.Join(x.WriteBody(want, true), x.Flush()) }()
				_, _, _, body := response(t, x)
				if err := <-w; err != nil {
					t.Error(err)
				}
				if !bytes.Equal(body, want) {
					t.Errorf("%d of %d bytes came back", len(body), len(want))
				}
				x.Release()
			}
		})
	}
	wg.Wait()
}

func TestTheClientResets(t *testing.T) {
	got := make(chan error, 1)
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
		_, _, err := r.ReadBody()
		if !r.Gone() {
			t.Error("not gone")
		}
		got <- err
	}), ClientEvents{})
	x := p.open(t)
	must(t, x.WriteHeaders(post("/"), false))
	must(t, x.Flush())
	x.Release()
	var re *codec.ResetError
	if err := <-got; !errors.As(err, &re) || !re.Remote || re.Code != 8 {
		t.Error(err)
	}
}

func TestAnIncompleteResponseIsReset(t *testing.T) {
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
		if string(r.h.Value(header.Path)) == "/coded" {
			r.SetReset(7)
		}
	}), ClientEvents{})
	for path, code := range map[string]uint32{"/": 2, "/coded": 7} {
		x := p.open(t)
		must(t, x.WriteHeaders(get(path), true))
		var re *codec.ResetError
		if _, err := x.ReadHeaders(new(header.Headers)); !errors.As(err, &re) || !re.Remote || re.Code != code || re.Unprocessed != (code == 7) {
			t.Errorf("%s: %v", path, err)
		}
		x.Release()
	}
}

func TestAnEarlyResponseStopsTheRequest(t *testing.T) {
	p := newPair(t, &Options{InitialStreamWindow: 65535}, &Options{}, serving(func(r *request) {
		r.out.AddString(header.Status, "413")
		_ = r.WriteHeaders(&r.out, true)
	}), ClientEvents{})
	x := p.open(t)
	defer x.Release()
	must(t, x.WriteHeaders(post("/"), false))
	var err error
	for err == nil {
		err = x.WriteBody(make([]byte, 30000), false)
	}
	var re *codec.ResetError
	if !errors.As(err, &re) || re.Code != 0 {
		t.Error(err)
	}
	if code, _, _, _ := response(t, x); code != 413 {
		t.Error(code)
	}
}

func TestADeadlinePasses(t *testing.T) {
	release := make(chan struct{})
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) { <-release }), ClientEvents{})
	defer close(release)
	x := p.open(t)
	defer x.Release()
	must(t, x.WriteHeaders(get("/"), true))
	x.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := x.ReadHeaders(new(header.Headers)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}
