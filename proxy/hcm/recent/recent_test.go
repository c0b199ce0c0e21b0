package recent

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func request(path string, at time.Time) *stream.Stream {
	s := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
	s.Begin(conn.New(nil), nil, nil, 7)
	s.Conn.Info.Listener, s.Conn.Info.ServerName = "in", []byte("a.example")
	s.Info.Start = at
	s.Method, s.Authority, s.Path = []byte("GET"), []byte("a.example"), []byte(path)
	s.Request.AddString(header.Intern("authorization"), "secret")
	s.Request.AddString(header.Intern("cookie"), "secret")
	s.Request.AddString(header.Intern("content-type"), "application/grpc")
	return s
}

func TestSample(t *testing.T) {
	r, at := New(), time.Unix(1e9, 0)
	r.Note(request("/first?token=secret", at))
	r.Note(request("/too-soon", at.Add(Every-1)))
	r.Note(request("/second", at.Add(Every)))
	r.Note(request("/"+strings.Repeat("long", maxPath), at.Add(3*Every)))
	got := r.All()
	if len(got) != 2 || got[0].Path != "/second" || got[1].Path != "/first" {
		t.Fatalf("%+v", got)
	}
	q := got[1]
	if !q.Query || q.Host != "a.example" || q.Method != "GET" || q.ServerName != "a.example" || q.Listener != "in" || q.Rand != 7 {
		t.Errorf("%+v", q)
	}
	if len(q.HeaderField) != 1 || q.HeaderField["content-type"] != "application/grpc" {
		t.Errorf("fields %v: what may be secret is not kept", q.HeaderField)
	}
	for i := range 2 * entries {
		r.Note(request("/again", at.Add(time.Duration(10+i)*Every)))
	}
	if got := r.All(); len(got) != entries || got[entries-1].Path != "/again" {
		t.Errorf("%d entries in a ring of %d", len(got), entries)
	}
}

func TestNoteAllocatesNothing(t *testing.T) {
	r, s := New(), request("/a?b", time.Unix(1e9, 0))
	if n := testing.AllocsPerRun(1000, func() {
		s.Info.Start = s.Info.Start.Add(Every)
		r.Note(s)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkNoteNothing(b *testing.B) {
	r, s := New(), request("/a?b", time.Unix(1e9, 0))
	for b.Loop() {
		r.Note(s)
	}
}
