package flows

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	client = netip.MustParseAddrPort("10.0.0.1:40000")
	dest   = netip.MustParseAddrPort("203.0.113.5:443")
	host   = netip.MustParseAddrPort("10.1.0.1:8080")
)

// A made request, with everything that a flow may tell of it.
type made struct {
	conn info.Conn
	info info.Stream
	req  header.Headers
	head Head
}

func newRequest(path string, at time.Time) *made {
	m := &made{conn: info.Conn{
		ID: 7, Listener: "in", Source: client, Dest: dest, Transport: info.TLS, ServerName: []byte("a.example"),
		ALPN: [][]byte{[]byte("h2"), []byte("http/1.1")}, FilterChain: "web", TLSVersion: "TLSv1.3",
	}}
	m.info = info.Stream{ID: 3, Start: at, Protocol: info.HTTP2}
	for _, f := range [][2]string{{"x-request-id", "id-1"}, {"authorization", "secret"}, {"cookie", "secret"}, {"content-type", "application/grpc"}} {
		m.req.AddString(header.Intern(f[0]), f[1])
	}
	m.head = Head{
		Conn: &m.conn, Info: &m.info, Method: []byte("GET"), Authority: []byte("a.example"), Path: []byte(path), Request: &m.req, TLS: true, Rand: 9,
		Scope: func() string { return "s1" },
	}
	return m
}

func (m *made) end(code int) *info.Stream {
	i := &m.info
	i.Route, i.VirtualHost, i.Cluster, i.UpstreamHost, i.Attempts = "r", "vh", "c", host, max(i.Attempts, 1)
	i.Code, i.Details, i.BytesSent = code, "via_upstream", 5
	i.NameCheck = info.NameMismatch
	i.UpstreamFirstByte, i.End = i.Start.Add(2*time.Millisecond), i.Start.Add(3*time.Millisecond)
	return i
}

func all(t *Table, reveal bool) (out []Flow) {
	t.Each(reveal, func(f *Flow) { out = append(out, *f) })
	return out
}

func TestLifeOfARequest(t *testing.T) {
	tb, m := New(1, Paths), newRequest("/a/b?token=secret&flag&q=1", time.Unix(1e9, 0))
	tb.SetVersion(12)
	e := tb.Begin(&m.head)
	f := all(tb, false)[0]
	if f.State != "live" || f.ID != "7.3" || f.RequestID != "id-1" || f.Path != "/a/b?token=*&flag&q=*" || f.Client != client || f.Version != 12 {
		t.Errorf("%+v", f)
	}
	if f.ServerName != "a.example" || strings.Join(f.ALPN, " ") != "h2 http/1.1" || f.Authority != "a.example" || f.Method != "GET" || f.Chain != "web" {
		t.Errorf("%+v", f)
	}
	m.info.Cluster, m.info.Attempts = "c", 1
	e.To(&m.info, host)
	if f = all(tb, false)[0]; f.Cluster != "c" || f.Host != host || f.State != "live" {
		t.Errorf("%+v", f)
	}
	e.Try(host, 503, "status")
	m.info.Attempts = 2
	e.End(m.end(200))
	got := all(tb, false)
	if len(got) != 1 {
		t.Fatalf("%d flows, of one that is notable", len(got))
	}
	f = got[0]
	if f.State != "ended" || f.Code != 200 || f.Duration != 3 || f.FirstByte != 2 || f.Route != "r" || f.Attempts != 2 || f.Protocol != "HTTP/2" || f.NameCheck != "mismatch" {
		t.Errorf("%+v", f)
	}
	if len(f.Tries) != 1 || f.Tries[0].Code != 503 || f.Tries[0].Host != host {
		t.Errorf("%+v", f.Tries)
	}
}

func TestConnectionThatPassed(t *testing.T) {
	tb, m := New(1, Paths), newRequest("/", time.Unix(1e9, 0))
	c := &m.conn
	c.Start, c.End = time.Unix(1e9, 0), time.Unix(1e9, 0).Add(time.Second)
	c.UpstreamCluster, c.UpstreamHost, c.BytesSent = "c", host, 3
	c.NameCheck, c.FirstSpeaker, c.ServerProtocol = info.NameMatches, "server", "ssh"
	tb.Connection(c, 0)
	f := all(tb, false)[0]
	if f.ID != "7" || f.Kind != "connection" || f.State != "ended" || f.Duration != 1000 || f.Cluster != "c" || f.Host != host || f.Sent != 3 {
		t.Errorf("%+v", f)
	}
	if f.NameCheck != "match" || f.First != "server" || f.ServerSays != "ssh" {
		t.Errorf("%+v", f)
	}
}

// What may be secret is nowhere in the memory of an entry.
func TestSecretsAreNotKept(t *testing.T) {
	for d, want := range map[Detail]string{Paths: "/a?token=*", Hosts: "", Full: "/a?token=*"} {
		tb, m := New(1, d), newRequest("/a?token=secret", time.Unix(1e9, 0))
		tb.Begin(&m.head)
		tb.workers[0].each(func(e *Entry) {
			if kept := strings.Contains(string(e.text[:]), "secret"); kept != (d == Full) {
				t.Errorf("detail %d: %q", d, e.text[:e.at])
			}
		})
		if got := all(tb, false)[0].Path; got != want {
			t.Errorf("detail %d: path %q, want %q", d, got, want)
		}
		if got := all(tb, true)[0].Path; strings.Contains(got, "secret") != tb.Reveals() {
			t.Errorf("detail %d: revealed path %q", d, got)
		}
	}
	tb := New(1, Off)
	m := newRequest("/", time.Unix(1e9, 0))
	tb.Begin(&m.head).End(m.end(200))
	tb.Connection(&m.conn, 0)
	if len(all(tb, true)) != 0 || tb.Sample() != nil || tb.Untracked() != 0 {
		t.Error("a table that is off")
	}
}

func TestTexts(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for name, c := range map[string]struct {
		method, authority, path string
		sni                     string
		cut                     bool
	}{
		"none":            {},
		"no method":       {authority: "a", path: "/"},
		"no authority":    {method: "GET", path: "/", sni: "s"},
		"long path":       {method: "GET", path: "/" + long, cut: true},
		"long query":      {method: "GET", path: "/?" + long, cut: true},
		"everything long": {method: long, authority: long, path: long, sni: long, cut: true},
	} {
		t.Run(name, func(t *testing.T) {
			tb, m := New(1, Paths), newRequest(c.path, time.Unix(1e9, 0))
			m.conn.ServerName, m.conn.ALPN = []byte(c.sni), nil
			m.head.Method, m.head.Authority = []byte(c.method), []byte(c.authority)
			tb.Begin(&m.head)
			f := all(tb, false)[0]
			if f.Cut != c.cut || !strings.HasPrefix(c.path, f.Path) || !strings.HasPrefix(c.method, f.Method) || !strings.HasPrefix(c.authority, f.Authority) ||
				!strings.HasPrefix(c.sni, f.ServerName) || f.ALPN != nil {
				t.Errorf("%+v", f)
			}
			if !c.cut && (f.Path != c.path || f.Method != c.method || f.Authority != c.authority || f.ServerName != c.sni || f.RequestID != "id-1") {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestSample(t *testing.T) {
	tb, at := New(2, Paths), time.Unix(1e9, 0)
	begin := func(path string, at time.Time) {
		m := newRequest(path, at)
		tb.Begin(&m.head).End(m.end(200))
	}
	begin("/first?token=secret", at)
	begin("/too-soon", at.Add(Every-1))
	begin("/second", at.Add(Every))
	begin("/"+strings.Repeat("long", maxPath), at.Add(3*Every))
	m := newRequest("", at)
	m.conn.Start = at.Add(4 * Every)
	tb.Passed(&m.conn)
	got := tb.Sample()
	if len(got) != 3 || got[0].Method != "" || got[1].Path != "/second" || got[2].Path != "/first" {
		t.Fatalf("%+v", got)
	}
	q := got[2]
	if !q.Query || q.Host != "a.example" || q.Method != "GET" || q.ServerName != "a.example" || q.Listener != "in" || q.Rand != 9 || q.Scope != "s1" || !q.HTTP2 {
		t.Errorf("%+v", q)
	}
	if len(q.HeaderField) != 1 || q.HeaderField["content-type"] != "application/grpc" {
		t.Errorf("fields %v: what may be secret is not kept", q.HeaderField)
	}
	for i := range 2 * samples {
		begin("/again", at.Add(time.Duration(10+i)*Every))
	}
	if got := tb.Sample(); len(got) != samples || got[samples-1].Path != "/again" {
		t.Errorf("%d in a sample of %d", len(got), samples)
	}
}

// Live flows stay, however many come and go; what failed is seen longer than what did not.
func TestWhatStays(t *testing.T) {
	tb, at := New(1, Paths), time.Unix(1e9, 0)
	stays := newRequest("/stays", at)
	e := tb.Begin(&stays.head)
	for i := range 3 * recentChunks * chunkSize {
		m := newRequest("/passes", at)
		m.conn.ID, m.info.ID = 100, uint64(i)
		code := 200
		if i == 0 {
			code, m.info.Flags = 503, info.UpstreamConnectionFailure
		}
		tb.Begin(&m.head).End(m.end(code))
	}
	count := map[string]int{}
	for _, f := range all(tb, false) {
		count[f.State+" "+f.Path+" "+f.Flags]++
	}
	// The entry of the failed one was used again; its copy is there.
	if count["live /stays "] != 1 || count["ended /passes "] != recentChunks*chunkSize-1 || count["ended /passes UF"] != 1 || len(count) != 3 {
		t.Errorf("%v", count)
	}
	e.End(stays.end(200))
}

func TestMoreThanTheTableHolds(t *testing.T) {
	tb, at := New(1, Paths), time.Unix(1e9, 0)
	var es []*Entry
	for i := range maxChunks*chunkSize + 10 {
		m := newRequest("/", at)
		m.info.ID = uint64(i)
		if e := tb.Begin(&m.head); e != nil {
			es = append(es, e)
		}
	}
	if len(es) > maxChunks*chunkSize || len(es) < maxChunks*chunkSize*9/10 || tb.Untracked() == 0 {
		t.Errorf("%d entries, %d untracked", len(es), tb.Untracked())
	}
	tb.Abandon(7)
	for _, f := range all(tb, false) {
		if f.State != "ended" || f.Details != "panic" {
			t.Fatalf("%+v", f)
		}
	}
	m := newRequest("/", at)
	if tb.Begin(&m.head) == nil {
		t.Error("no entry after all ended")
	}
}

func TestSteadyStateAllocatesNothing(t *testing.T) {
	tb := New(1, Paths)
	m := newRequest("/a/b?c=d", time.Unix(1e9, 0))
	m.conn.UpstreamCluster = "c"
	one := func() {
		m.info.Start = m.info.Start.Add(Every)
		m.conn.End = m.info.Start.Add(2 * Every)
		e := tb.Begin(&m.head)
		e.To(&m.info, host)
		e.Try(host, 503, "status")
		e.End(m.end(503))
		tb.Connection(&m.conn, 0)
	}
	for range (recentChunks + 1) * chunkSize {
		one() // every entry has what it may need
	}
	if n := testing.AllocsPerRun(1000, one); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRequest(b *testing.B) {
	tb := New(1, Paths)
	m := newRequest("/a/b", time.Unix(1e9, 0))
	m.conn.ALPN = nil
	i := m.end(200)
	for b.Loop() {
		e := tb.Begin(&m.head)
		e.To(&m.info, host)
		e.End(i)
	}
}
