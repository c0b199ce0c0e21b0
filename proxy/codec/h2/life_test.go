package h2

import (
	"errors"
	"io"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weirproxy/weir/proxy/codec"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
)

func TestIdleAndOldConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			idle, age, want time.Duration
			err             error
		}{
			{time.Minute, 0, time.Minute + 10*time.Second, ErrIdle},
			{time.Hour, 15 * time.Second, 15 * time.Second, ErrMaxAge},
		} {
			start := time.Now()
			a, b := netio.Pipe(0)
			r := serve(a, b, &Options{}, serving(answer), c.idle, c.age)
			k, err := NewClientConn(b, &Options{}, newStats(), ClientEvents{})
			must(t, err)
			pass(10 * time.Second) // fake time: a request in between
			var resp, trailers header.Headers
			must(t, roundTrip(k, get("/"), &resp, &trailers))
			<-r.done
			if d := time.Since(start); d != c.want || !errors.Is(r.err, c.err) || !errors.Is(r.err, os.ErrDeadlineExceeded) {
				t.Errorf("after %v: %v", d, r.err)
			}
			<-k.Done()
		}
	})
}

func TestADrainWaitsForItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		away := make(chan struct{})
		p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
			<-release
			answer(r)
		}), ClientEvents{OnGoAway: func() {
			select {
			case <-away:
			default:
				close(away)
			}
		}})
		x := p.open(t)
		must(t, x.WriteHeaders(get("/"), true))
		must(t, x.Flush())
		synctest.Wait()
		p.c.StartDrain()
		<-away
		if _, err := p.k.Open(); err != ErrGoingAway || p.k.Usable() || p.k.Capacity() != 0 {
			t.Error(err)
		}
		synctest.Wait()
		close(release)
		if code, _, _, body := response(t, x); code != 200 || string(body) != string(hello) {
			t.Error(code, string(body))
		}
		x.Release()
		<-p.done
		if p.rig.err != ErrDrained {
			t.Error(p.rig.err)
		}
		<-p.k.Done()
	})
}

func TestADeadPeerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netio.Pipe(0)
		defer b.Close()
		o := &Options{Keepalive: Keepalive{Interval: 30 * time.Second, Timeout: 5 * time.Second}}
		var why error
		st := newStats()
		k, err := NewClientConn(a, o, st, ClientEvents{OnClose: func(err error) { why = err }})
		must(t, err)
		start := time.Now()
		<-k.Done()
		if d := time.Since(start); why != ErrKeepalive || d < 35*time.Second || d > 36*time.Second || st.KeepaliveTimeout.Value() != 1 {
			t.Error(why, d)
		}
	})
}

func TestKeepaliveIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &Options{Keepalive: Keepalive{Interval: 30 * time.Second, Timeout: 5 * time.Second, Jitter: 15}}
		p := newPair(t, o, o, serving(answer), ClientEvents{})
		pass(10 * time.Minute) // fake time
		if !p.k.Usable() || p.k.BytesIn() < 15*17 {
			t.Error("connection ended, or no pings came", p.k.BytesIn())
		}
	})
}

func TestABrokenConnectionResetsItsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		p := newPair(t, &Options{}, &Options{}, serving(func(r *request) { <-hang }), ClientEvents{})
		x, unsent := p.open(t), p.open(t)
		must(t, x.WriteHeaders(get("/"), true))
		must(t, x.Flush())
		synctest.Wait()
		_ = p.c.Close()
		var re *codec.ResetError
		if _, err := x.ReadHeaders(new(header.Headers)); !errors.As(err, &re) || re.Unprocessed || re.Reason != "connection_termination" {
			t.Error(err)
		}
		if err := unsent.WriteHeaders(get("/"), true); !errors.As(err, &re) || !re.Unprocessed {
			t.Error(err)
		}
		x.Release()
		unsent.Release()
		close(hang)
		<-p.k.Done()
	})
}

func TestTheClientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := make(chan struct{})
		p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
			r.SetGone(func() { close(told) })
			<-told
			if !r.Gone() {
				t.Error("not gone")
			}
		}), ClientEvents{})
		x := p.open(t)
		must(t, x.WriteHeaders(get("/"), true))
		must(t, x.Flush())
		synctest.Wait()
		_ = p.peer.Close()
		<-p.done
		if p.rig.err != io.EOF && !errors.Is(p.rig.err, io.EOF) {
			t.Error(p.rig.err)
		}
		x.Release()
	})
}

// TestUnneededGoroutinesEnd: those that served many streams at once go when only
// one is needed, and all when none is.
func TestUnneededGoroutinesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
			<-release
			answer(r)
		}), ClientEvents{})
		var all []*ClientStream
		for range 50 {
			x := p.open(t)
			must(t, x.WriteHeaders(get("/"), true))
			must(t, x.Flush())
			all = append(all, x)
		}
		synctest.Wait()
		n := func() int {
			p.srv.mu.Lock()
			defer p.srv.mu.Unlock()
			return p.srv.workers.n
		}
		if n() != 50 {
			t.Error(n(), "goroutines")
		}
		close(release)
		for _, x := range all {
			response(t, x)
			x.Release()
		}
		pass(3 * time.Second) // fake time
		if n() != 0 {
			t.Error(n(), "goroutines left")
		}
	})
}

func TestAWokenReaderAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		stop := errors.New("stop")
		p := newPair(t, &Options{}, &Options{Tick: time.Second}, serving(func(r *request) { <-hang }), ClientEvents{})
		x, err := p.k.Open()
		must(t, err)
		defer x.Release()
		asked := 0
		x.Begin(func() error {
			if asked++; asked == 3 {
				return stop
			}
			return nil
		})
		must(t, x.WriteHeaders(get("/"), true))
		start := time.Now()
		if _, err := x.ReadHeaders(new(header.Headers)); err != stop || time.Since(start) != 3*time.Second {
			t.Error(err, time.Since(start))
		}
		asked = 2
		go x.WakeReader()
		if _, err := x.ReadHeaders(new(header.Headers)); err != stop || time.Since(start) != 3*time.Second {
			t.Error(err, time.Since(start))
		}
	})
}

func TestTheServersLimitIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		more := make(chan struct{}, 100)
		p := newPair(t, &Options{MaxConcurrentStreams: 2}, &Options{}, serving(answer), ClientEvents{OnCapacity: func() { more <- struct{}{} }})
		<-more // SETTINGS
		a, b := p.open(t), p.open(t)
		if _, err := p.k.Open(); err != ErrNoCapacity || p.k.Active() != 2 {
			t.Error(err)
		}
		b.Release()
		<-more
		if p.k.Capacity() != 1 {
			t.Error(p.k.Capacity())
		}
		a.Release()
		p.k.Drain()
		<-p.k.Done()
	})
}

// TestWritingForOthersDoesNotHoldAStream: a peer takes nothing; the goroutine that
// writes has a deadline, is woken, or is told to stop, and hands over.
func TestWritingForOthersDoesNotHoldAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netio.Pipe(100)
		k, err := NewClientConn(a, &Options{WriteIdle: time.Hour}, newStats(), ClientEvents{})
		must(t, err)
		stop := errors.New("stop")
		one := func(do func(*ClientStream)) error {
			x, err := k.Open()
			must(t, err)
			defer x.Release()
			x.Begin(func() error { return stop })
			must(t, x.WriteHeaders(post("/"), false))
			do(x)
			_ = x.Flush()
			_, err = x.ReadHeaders(new(header.Headers))
			return err
		}
		start := time.Now()
		if err := one(func(x *ClientStream) { x.SetReadDeadline(start.Add(time.Second)) }); err != os.ErrDeadlineExceeded {
			t.Error(err)
		}
		if err := one(func(x *ClientStream) { time.AfterFunc(time.Second, x.WakeReader) }); err != stop {
			t.Error(err)
		}
		if d := time.Since(start); d != 2*time.Second {
			t.Error("waited", d)
		}
		k.Close()
		_ = b.Close()
		<-k.Done()
	})
}

// TestASocketThatTakesNothingIsGivenUp: after WriteIdle, and not before.
func TestASocketThatTakesNothingIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netio.Pipe(10)
		defer b.Close()
		st := newStats()
		start := time.Now()
		k, err := NewClientConn(a, &Options{WriteIdle: time.Minute}, st, ClientEvents{})
		must(t, err)
		<-k.Done()
		if d := time.Since(start); d < time.Minute || d > 2*time.Minute+lastRead || st.TxFlushTimeout.Value() != 1 {
			t.Error(d, st.TxFlushTimeout.Value())
		}
	})
}
