package h2

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

// TestFloods: every guard ends the connection, says so in GOAWAY, and counts.
func TestFloods(t *testing.T) {
	for _, c := range []struct {
		name    string
		counter func(*Stats) *stats.Counter
		says    string
		start   []string
		repeat  string // with %d for the next stream
	}{
		{"ping", func(s *Stats) *stats.Counter { return s.OutboundControlFlood }, "too many control frames", nil, "ping"},
		{"settings", func(s *Stats) *stats.Counter { return s.OutboundControlFlood }, "too many control frames", nil, "settings"},
		{"priority", func(s *Stats) *stats.Counter { return s.PriorityFlood }, "too many PRIORITY", nil, "priority 1 3"},
		{"window", func(s *Stats) *stats.Counter { return s.WindowUpdateFlood }, "too many WINDOW_UPDATE", nil, "window 0 1"},
		{
			"empty data", func(s *Stats) *stats.Counter { return s.EmptyFramesFlood }, "empty payload",
			[]string{"headers 1 :method=POST :scheme=http :authority=a :path=/hang"},
			"data 1 0",
		},
		{
			"empty continuation", func(s *Stats) *stats.Counter { return s.EmptyFramesFlood }, "empty payload",
			[]string{"headers 1 more :method=POST"},
			"continuation 1 more",
		},
		{
			"continuation", func(s *Stats) *stats.Counter { return s.ContinuationFlood }, "too many CONTINUATION",
			[]string{"headers 1 more :method=POST"},
			"continuation 1 more a=b",
		},
		{
			"long block", func(s *Stats) *stats.Counter { return s.HeaderOverflow }, "longer than SETTINGS_MAX_HEADER_LIST_SIZE",
			[]string{"headers 1 more :method=POST"},
			"continuation 1 more a=" + strings.Repeat("~", 8000),
		},
		{
			"resets", func(s *Stats) *stats.Counter { return s.ResetFlood }, "too many streams reset", nil,
			"headers %[1]d :method=POST :scheme=http :authority=a :path=/hang\nrst %[1]d 8",
		},
		{
			"refused", func(s *Stats) *stats.Counter { return s.ResetFlood }, "too many streams reset",
			[]string{"headers 1 :method=POST :scheme=http :authority=a :path=/hang"},
			"headers %d :method=POST :scheme=http :authority=a :path=/hang",
		},
		{
			"induced resets", func(s *Stats) *stats.Counter { return s.ResetFlood }, "too many streams reset", nil,
			"headers %[1]d :method=POST :scheme=http :authority=a :path=/hang\nwindow %[1]d 0",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := netio.Pipe(1 << 14)
				r := serve(a, b, &Options{MaxConcurrentStreams: 1, StreamErrorOnInvalid: true}, serving(byPath), 0, 0)
				s := newScript(t, b)
				s.fr = http2.NewFramer(ignored{b}, nil)
				s.fr.AllowIllegalWrites = true
				s.send("preface")
				for _, line := range c.start {
					s.send(line)
				}
				repeat := c.repeat
				for i := range 4000 {
					line := repeat
					if strings.Contains(line, "%") {
						line = fmt.Sprintf(line, 2*i+3)
					}
					for _, l := range strings.Split(line, "\n") {
						s.send(l)
						if strings.HasPrefix(l, "headers") {
							synctest.Wait()
						}
					}
					synctest.Wait()
					r.srv.mu.Lock()
					over := r.srv.err != nil
					r.srv.mu.Unlock()
					if over {
						break
					}
				}
				if got := s.answer(); !strings.Contains(got, "ENHANCE_YOUR_CALM") || !strings.Contains(got, c.says) {
					t.Errorf("no GOAWAY that says %q in %d bytes: %.200s", c.says, len(got), got)
				}
				_ = b.Close()
				<-r.done
				if n := c.counter(r.st).Value(); n != 1 {
					t.Errorf("counted %d times", n)
				}
			})
		})
	}
}

// ignored sends and takes no notice of a connection that ended.
type ignored struct{ c netio.Conn }

func (w ignored) Write(p []byte) (int, error) {
	_, _ = w.c.Write(p)
	return len(p), nil
}

// TestLongHeadsAreContinued: heads longer than a frame, both ways.
func TestLongHeadsAreContinued(t *testing.T) {
	long := strings.Repeat("~", 50000)
	p := newPair(t, &Options{}, &Options{}, serving(func(r *request) {
		r.out.AddString(header.Status, "200")
		r.out.Add(header.Intern("x-long"), r.h.Value(header.Intern("x-long")))
		_ = r.WriteHeaders(&r.out, false)
		_ = r.WriteBody(hello, true)
	}), ClientEvents{})
	for range 3 {
		x := p.open(t)
		h := get("/")
		h.AddString(header.Intern("x-long"), long)
		must(t, x.WriteHeaders(h, true))
		_, got, _, body := response(t, x)
		if string(got.Value(header.Intern("x-long"))) != long || !bytes.Equal(body, hello) {
			t.Error("head or body differ")
		}
		x.Release()
	}
}
