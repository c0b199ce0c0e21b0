package explain

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/explain"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// configurations × requests is how many questions are asked.
const (
	configurations = 200
	requests       = 50
)

// TestExplainAgrees sends requests through configurations made at random, and compares what the access log says of each with what
// explain says.
func TestExplainAgrees(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	t.Cleanup(origin.Close)
	seen := map[string]int{}
	for n := range configurations {
		c := &chooser{rand.New(rand.NewPCG(uint64(n), 7))}
		t.Run(strconv.Itoa(n), func(t *testing.T) { agree(t, c, origin.Listener.Addr().String(), seen) })
	}
	for _, want := range []string{"route_not_found", "via_upstream", "cluster_not_found", "direct_response", "no chain"} {
		if seen[want] < 20 {
			t.Errorf("%q was the end of %d requests only: the configurations do not ask enough", want, seen[want])
		}
	}
}

func agree(t *testing.T, c *chooser, origin string, seen map[string]int) {
	log := &lines{got: map[string]string{}, more: make(chan struct{}, 1)}
	o := rig.Options{
		Origins: map[string]string{"c0": origin, "c1": origin, "c2": origin},
		Loggers: func(string) (filters.Sink, error) { return log, nil },
	}
	for o.Config == "" || rig.Check(o) != nil { // chains may take the same connections
		o.Config = c.config()
	}
	r := rig.New(t, o)
	_, port, err := net.SplitHostPort(r.AddrOf("l"))
	if err != nil {
		t.Fatal(err)
	}
	w := explain.World{Snapshot: r.Proxy.Snapshot(), Clusters: r.Proxy.Clusters()}
	for i := range requests {
		q := c.question(port)
		id := strconv.Itoa(i)
		q.Headers = append(q.Headers, explain.Field{Name: "x-test", Value: id})
		got, src := send(t, &q, log, id)
		q.Source = src
		a := w.Ask(q)
		want := words(a)
		if got != want {
			t.Fatalf("request %d: %+v\nthe data path: %s\nexplain:       %s\n%s\n%s", i, q, got, want, a.Text(), o.Config)
		}
		seen[a.Details]++
		if a.Code != 0 && a.Details == "" {
			seen["direct_response"]++
		}
		if a.Cluster != nil && a.Reached {
			seen["via_upstream"]++
		}
		if a.Chain == "" {
			seen["no chain"]++
		}
	}
}

// words is an answer as the access log tells of a request.
func words(a *explain.Answer) string {
	if a.Chain == "" {
		return "closed"
	}
	dash := func(s string) string {
		if s == "" {
			return "-"
		}
		return s
	}
	code, cluster := a.Code, ""
	switch {
	case a.Cluster == nil:
	case a.Reached:
		code, cluster = 200, a.Cluster.Name
	case a.Cluster.Name == "gone": // one that a header names is not logged
		cluster = a.Cluster.Name
	}
	return fmt.Sprintf("%d %s %s %s", code, dash(strings.Trim(a.Chain, `"`)), dash(a.Route), dash(cluster))
}

// send sends a request as asked, over a connection of its own, and gives what the log says of it.
func send(t *testing.T, q *explain.Question, log *lines, id string) (said string, from netip.AddrPort) {
	t.Helper()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(q.Source)}
	conn, err := d.Dial("tcp", q.Destination.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	from = conn.LocalAddr().(*net.TCPAddr).AddrPort()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.Method, q.Path, q.Host)
	for _, h := range q.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(conn, b.String()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return "closed", from
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return log.of(id), from
}

// lines takes the access log: "id rest".
type lines struct {
	mu   sync.Mutex
	got  map[string]string // guarded by mu
	more chan struct{}
}

// Write implements filters.Sink.
func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range strings.Split(strings.TrimSpace(string(p)), "\n") {
		id, rest, _ := strings.Cut(s, " ")
		l.got[id] = rest
	}
	select {
	case l.more <- struct{}{}:
	default:
	}
	return len(p), nil
}

// of waits for the line of a request.
func (l *lines) of(id string) string {
	for {
		l.mu.Lock()
		s, ok := l.got[id]
		l.mu.Unlock()
		if ok {
			return s
		}
		<-l.more
	}
}
