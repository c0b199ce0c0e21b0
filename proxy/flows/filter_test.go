package flows

import (
	"net/netip"
	"net/url"
	"testing"
	"time"

	"github.com/weirproxy/weir/proxy/info"
)

func aFlow() *Flow {
	return &Flow{
		ID: "7.3", RequestID: "id-1", Kind: "request", State: "ended", Duration: 250, Client: client, Destination: dest,
		ServerName: "a.example", Authority: "www.a.example:80", Method: "GET", Path: "/x?q=*", Listener: "in", Chain: "web", Route: "r", Cluster: "c",
		Host: host, Code: 503, Flags: "UF,URX", inputs: inputs{flags: info.UpstreamConnectionFailure | info.UpstreamRetryLimitExceeded},
	}
}

func TestFilter(t *testing.T) {
	for _, c := range []struct {
		query string
		want  bool
	}{
		{"", true},
		{"id=7", true},
		{"id=7.3", true},
		{"id=id-1", true},
		{"id=7.4", false},
		{"id=1&id=7", true},
		{"id=", false},
		{"kind=request", true},
		{"kind=connection", false},
		{"live", false},
		{"ended", true},
		{"live&ended", true},
		{"failed", true},
		{"client=10.0.0.1", true},
		{"client=10.0.0.0/8", true},
		{"client=10.0.0.2", false},
		{"client=10.0.0.1:40000", true},
		{"client=10.0.0.1:1", false},
		{"dest=443", true},
		{"dest=:443", true},
		{"dest=203.0.113.5:443", true},
		{"dest=80", false},
		{"dest=2001:db8::/32", false},
		{"dest=[2001:db8::1]:443", false},
		{"host=10.1.0.1", true},
		{"host=10.1.0.2", false},
		{"sni=A.example", true},
		{"sni=*.example", true},
		{"sni=b.example", false},
		{"authority=*a.example*", true},
		{"authority=www.*:80", true},
		{"authority=a.example", false},
		{"authority=www.*:8080", false},
		{"authority=*", true},
		{"authority=w*w.a*e:80", true},
		{"authority=www.a.example:80*:80", false},
		{"method=get", true},
		{"method=POST", false},
		{"path=/x*", true},
		{"path=/y*", false},
		{"listener=in", true},
		{"chain=x", false},
		{"route=r", true},
		{"cluster=c*", true},
		{"cluster=d", false},
		{"code=503", true},
		{"code=5xx", true},
		{"code=500-504", true},
		{"code=4xx", false},
		{"code=200-299", false},
		{"flags=UF", true},
		{"flags=UH,urx", true},
		{"flags=DC", false},
		{"slow=250", true},
		{"slow=250.5", false},
		{"code=5xx&cluster=d", false},
	} {
		q, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		f, err := ParseFilter(q)
		if err != nil {
			t.Fatalf("%s: %v", c.query, err)
		}
		if got := f.Takes(aFlow()); got != c.want {
			t.Errorf("%s: %v", c.query, got)
		}
	}
}

func TestFilterMistakes(t *testing.T) {
	for query, want := range map[string]string{
		"kind=x":     `kind: "x", want request or connection`,
		"client=x":   `client: "x", want an address, a net, a port or address:port`,
		"dest=70000": `dest: "70000", want an address, a net, a port or address:port`,
		"code=x":     `code: "x", want 503, 5xx or 500-504`,
		"code=5-1":   `code: "5-1", want 503, 5xx or 500-504`,
		"flags=XX":   `flags: "XX" is no response flag`,
		"slow=x":     `slow: "x", want milliseconds`,
	} {
		q, _ := url.ParseQuery(query)
		if _, err := ParseFilter(q); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
}

func FuzzFilter(f *testing.F) {
	for _, s := range []string{"id=7&code=5xx", "client=[::1%25eth0]:1&sni=**a", "authority=a*b*c&flags=UF,,", "dest=:65535&slow=NaN", "code=0-999&kind=request"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := url.ParseQuery(s)
		if err != nil {
			return
		}
		fl, err := ParseFilter(q)
		if err != nil {
			return
		}
		fl.Takes(aFlow())
		fl.Takes(&Flow{Client: netip.MustParseAddrPort("[fe80::1%eth0]:1")})
	})
}

func TestFollower(t *testing.T) {
	tb, at := New(2, Paths), time.Unix(1e9, 0)
	n := uint64(0)
	pass := func(code int) {
		m := newRequest("/", at)
		n++
		m.info.ID, m.head.Loop = n, int(n%2)
		tb.Begin(&m.head).End(m.end(code))
	}
	pass(200)
	fo := tb.Follow()
	if out, missed, full := fo.Next(false, nil); len(out) != 0 || missed != 0 || full != 0 {
		t.Errorf("what ended before: %v, %d missed", out, missed)
	}
	for range 10 {
		pass(200)
	}
	live := newRequest("/", at)
	e := tb.Begin(&live.head)
	if out, missed, _ := fo.Next(false, nil); len(out) != 10 || missed != 0 {
		t.Errorf("%d flows, %d missed", len(out), missed)
	}
	e.End(live.end(500))
	pass(200)
	f, _ := ParseFilter(url.Values{"failed": {""}})
	if out, missed, _ := fo.Next(false, f); len(out) != 1 || out[0].Code != 500 || missed != 0 {
		t.Errorf("%+v, %d missed", out, missed)
	}
	const many = 3 * recentChunks * chunkSize
	for range many {
		pass(200)
	}
	out, missed, full := fo.Next(false, nil)
	if len(out) == 0 || uint64(len(out))+missed != many || full < 1 {
		t.Errorf("%d flows and %d missed of %d, full %v", len(out), missed, many, full)
	}
	for i := 1; i < len(out); i++ {
		if a, b := out[i-1], out[i]; a.seq > b.seq && i != len(out)/2 {
			t.Fatalf("out of order at %d: %d, %d", i, a.seq, b.seq)
		}
	}
	if out, missed, _ := new(Table).Follow().Next(false, nil); len(out) != 0 || missed != 0 {
		t.Error("of an empty table")
	}
}

// Readers, writers and followers at once: for the race detector.
func TestAtOnce(t *testing.T) {
	tb, at := New(2, Paths), time.Unix(1e9, 0)
	done := make(chan struct{})
	for w := range 2 {
		go func() {
			for i := range 2000 {
				m := newRequest("/a?b=c", at)
				m.conn.ID, m.info.ID, m.head.Loop = uint64(w), uint64(i), w
				e := tb.Begin(&m.head)
				e.To(&m.info, host)
				e.Try(host, 503, "status")
				e.End(m.end(503))
			}
			done <- struct{}{}
		}()
	}
	fo, total := tb.Follow(), uint64(0)
	for ended := 0; ended < 2; {
		select {
		case <-done:
			ended++
		default:
		}
		out, missed, _ := fo.Next(false, nil)
		total += uint64(len(out)) + missed
		all(tb, false)
		tb.Sample()
	}
	out, missed, _ := fo.Next(false, nil)
	if total += uint64(len(out)) + missed; total+tb.Untracked() != 4000 {
		t.Errorf("%d of 4000 seen or missed", total)
	}
}
