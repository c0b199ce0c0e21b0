package h2

import (
	"bytes"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
)

// held is how many bytes of bodies a connection keeps, and how many frames wait.
func held(c *core) (received, waiting int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.table.each(func(s *half) { received += s.recv.n })
	return received, len(c.out.next.b) + len(c.out.current.b)
}

// TestAStalledReaderStopsTheSender: of a body without end, no more than the windows
// allow is kept, on either side, while the response's reader does not read.
func TestAStalledReaderStopsTheSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sent := 0
		piece := make([]byte, 100000)
		h := serving(func(r *request) {
			r.out.AddString(header.Status, "200")
			if r.WriteHeaders(&r.out, false) != nil {
				return
			}
			for r.WriteBody(piece, false) == nil {
				sent += len(piece)
			}
		})
		const window = 200000
		p := newPair(t, &Options{}, &Options{InitialStreamWindow: window, InitialConnWindow: 300000}, h, ClientEvents{})
		x := p.open(t)
		must(t, x.WriteHeaders(get("/"), true))
		if _, err := x.ReadHeaders(new(header.Headers)); err != nil {
			t.Fatal(err)
		}
		x.StartBody(nil)
		synctest.Wait()
		check := func(read int) {
			t.Helper()
			synctest.Wait()
			got, _ := held(&p.k.core)
			_, waiting := held(&p.srv.core)
			if got > window || waiting > 2*outputFull+frameSize || sent > read+window {
				t.Errorf("read %d: %d bytes kept, %d waiting, %d sent", read, got, waiting, sent)
			}
		}
		check(0)
		read := 0
		for range 500 {
			b, _, err := x.ReadBody()
			must(t, err)
			read += len(b)
			check(read)
		}
		if read < 10*window {
			t.Errorf("only %d bytes came", read)
		}
		x.Release()
		synctest.Wait()
		if x := p.open(t); x.WriteHeaders(get("/"), true) != nil {
			t.Error("no further stream")
		} else {
			x.Release()
		}
	})
}

// TestResetStreamsGiveTheirWindowBack: bodies nobody reads do not shut the
// connection's window for the others.
func TestResetStreamsGiveTheirWindowBack(t *testing.T) {
	o := &Options{InitialStreamWindow: 65535, InitialConnWindow: 65535}
	p := newPair(t, o, o, serving(func(r *request) {
		r.out.AddString(header.Status, "200")
		if r.WriteHeaders(&r.out, false) == nil && r.WriteBody(make([]byte, 40000), false) == nil {
			_ = r.WriteBody(make([]byte, 10000), true)
		}
	}), ClientEvents{})
	for range 20 {
		x := p.open(t)
		must(t, x.WriteHeaders(get("/"), true))
		if _, err := x.ReadHeaders(new(header.Headers)); err != nil {
			t.Fatal(err)
		}
		x.StartBody(nil)
		if _, _, err := x.ReadBody(); err != nil {
			t.Fatal(err)
		}
		x.Release()
	}
}

func TestSlowTakersAreGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan error, 1)
		p := newPair(t, &Options{WriteIdle: time.Minute}, &Options{}, serving(func(r *request) {
			r.out.AddString(header.Status, "200")
			err := r.WriteHeaders(&r.out, false)
			for err == nil {
				err = r.WriteBody(make([]byte, 1<<20), false)
			}
			got <- err
		}), ClientEvents{})
		x := p.open(t)
		defer x.Release()
		must(t, x.WriteHeaders(get("/"), true))
		must(t, x.Flush())
		start := time.Now()
		if err := <-got; !codec.Timeout(err) || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
		if p.st.TxFlushTimeout.Value() != 1 {
			t.Error("not counted")
		}
	})
}

func TestInformationalAndTrailersOnly(t *testing.T) {
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
		r.out.AddString(header.Status, "103")
		r.out.AddString(header.Intern("link"), "</a>")
		_ = r.WriteInformational(&r.out)
		r.out.Reset()
		r.out.AddString(header.Status, "200")
		r.out.AddString(header.GrpcStatus, "0")
		_ = r.WriteHeaders(&r.out, true)
	}), ClientEvents{})
	x := p.open(t)
	defer x.Release()
	must(t, x.WriteHeaders(get("/"), true))
	var h header.Headers
	if code, err := x.ReadHeaders(&h); code != 103 || err != nil || string(h.Value(header.Intern("link"))) != "</a>" {
		t.Fatal(code, err)
	}
	if code, err := x.ReadHeaders(&h); code != 200 || err != nil || !h.Has(header.GrpcStatus) {
		t.Fatal(code, err)
	}
	if !x.StartBody(nil) {
		t.Error("a body is expected")
	}
}

func TestContinueIsSentOnlyWhenTheBodyIsWanted(t *testing.T) {
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
		if string(r.h.Value(header.Path)) == "/no" {
			r.out.AddString(header.Status, "417")
			_ = r.WriteHeaders(&r.out, true)
			return
		}
		byPath(r)
	}), ClientEvents{})
	for path, want := range map[string]int{"/no": 417, "/": 100} {
		x := p.open(t)
		must(t, x.WriteHeaders(post(path, "expect", "100-continue"), false))
		code, err := x.ReadHeaders(new(header.Headers))
		if code != want || err != nil {
			t.Error(path, code, err)
		}
		if code == 100 {
			must(t, x.WriteBody([]byte("abc"), true))
			if code, _, _, body := response(t, x); code != 200 || !bytes.Equal(body, hello) {
				t.Error(code, string(body))
			}
		}
		x.Release()
	}
}

func TestATunnelIsAConnection(t *testing.T) {
	p := newPair(t, &Options{AllowConnect: true}, &Options{}, serving(func(r *request) {
		r.out.AddString(header.Status, "200")
		if r.WriteHeaders(&r.out, false) != nil || r.Flush() != nil {
			return
		}
		c, _ := r.Upgrade()
		b := make([]byte, 100)
		for {
			n, err := c.Read(b)
			if err != nil {
				break
			}
			if _, err := c.Write(bytes.ToUpper(b[:n])); err != nil {
				t.Error(err)
			}
		}
		_ = c.Close()
	}), ClientEvents{})
	x := p.open(t)
	defer x.Release()
	must(t, x.WriteHeaders(fieldsOf(":method", "CONNECT", ":scheme", "http", ":authority", "a", ":path", "/chat", ":protocol", "websocket"), false))
	if code, err := x.ReadHeaders(new(header.Headers)); code != 200 || err != nil {
		t.Fatal(code, err)
	}
	c, _ := x.Upgrade()
	_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !codec.Timeout(err) {
		t.Error(err)
	}
	_ = c.SetReadDeadline(time.Time{})
	b := make([]byte, 100)
	for _, s := range []string{"abc", "defg"} {
		if _, err := c.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
		n, err := c.Read(b)
		if err != nil || string(b[:n]) != string(bytes.ToUpper([]byte(s))) {
			t.Fatal(string(b[:n]), err)
		}
	}
	must(t, c.CloseWrite())
	if _, err := c.Read(b); err == nil || errors.As(err, new(*codec.ResetError)) {
		t.Error(err)
	}
}
