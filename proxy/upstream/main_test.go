package upstream

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// origin is an HTTP/1.1 server that answers every request with a status, when it
// is told to.
type origin struct {
	ln   net.Listener
	addr netip.AddrPort
	wg   sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
	total int
}

func newOrigin(t testing.TB) *origin {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{ln: ln, addr: ln.Addr().(*net.TCPAddr).AddrPort(), conns: map[net.Conn]bool{}}
	o.wg.Go(o.serve)
	t.Cleanup(o.close)
	return o
}

func (o *origin) close() {
	o.ln.Close()
	o.hangUp()
	o.wg.Wait()
}

func (o *origin) serve() {
	for {
		c, err := o.ln.Accept()
		if err != nil {
			return
		}
		o.mu.Lock()
		o.conns[c] = true
		o.total++
		o.mu.Unlock()
		o.wg.Go(func() { o.answer(c) })
	}
}

func (o *origin) answer(c net.Conn) {
	defer func() {
		o.mu.Lock()
		delete(o.conns, c)
		o.mu.Unlock()
		c.Close()
	}()
	r := bufio.NewReader(c)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		if _, err := io.WriteString(c, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"); err != nil {
			return
		}
	}
}

// hangUp closes every connection from the server's side.
func (o *origin) hangUp() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.conns {
		c.Close()
	}
}

// accepted is the number of connections so far.
func (o *origin) accepted() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.total
}

// rig is a Manager with its Watcher, running.
type rig struct {
	t     testing.TB
	m     *Manager
	store *stats.Store
	snap  *config.Snapshot
}

func newRig(t testing.TB, o Options) *rig {
	t.Helper()
	w, err := netio.NewWatcher()
	if err != nil {
		t.Fatal(err)
	}
	store := stats.NewStore()
	o.Stats, o.Watcher = store.Scope(""), w
	r := &rig{t: t, m: NewManager(o), store: store, snap: &config.Snapshot{
		Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{},
	}}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.Run(ctx) })
	wg.Go(func() { _ = r.m.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	return r
}

// apply puts clusters in force beside those that are.
func (r *rig) apply(cs ...*cluster.Cluster) {
	r.t.Helper()
	next := &config.Snapshot{Clusters: map[string]*config.Resource{}, Endpoints: map[string]*config.Resource{}}
	for k, v := range r.snap.Clusters {
		next.Clusters[k] = v
	}
	for k, v := range r.snap.Endpoints {
		next.Endpoints[k] = v
	}
	for _, c := range cs {
		next.Clusters[c.Name] = &config.Resource{Name: c.Name, Value: c}
	}
	r.put(next)
}

func (r *rig) put(s *config.Snapshot) {
	r.t.Helper()
	r.snap = s
	if err := r.m.Apply(s); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) get(name string) *Cluster {
	r.t.Helper()
	c, ok := r.m.Get(name)
	if !ok {
		r.t.Fatalf("no cluster %q", name)
	}
	return c
}

// thresholds are Envoy's defaults.
func thresholds() cluster.Thresholds {
	return cluster.Thresholds{MaxConnections: 1024, MaxPending: 1024, MaxRequests: 1024, MaxRetries: 3, BudgetPercent: -1}
}

// static makes a STATIC cluster of these addresses.
func static(name string, addrs ...netip.AddrPort) *cluster.Cluster {
	return &cluster.Cluster{
		Name: name, Type: cluster.Static, ConnectTimeout: 5 * time.Second, Panic: 50,
		Default: thresholds(), High: thresholds(), HTTP: cluster.HTTPOptions{IdleTimeout: time.Hour},
		Assignment: assignment(name, addrs...),
	}
}

func assignment(name string, addrs ...netip.AddrPort) *cluster.Assignment {
	a := &cluster.Assignment{Cluster: name, Overprovisioning: 140, Localities: []cluster.Locality{{}}}
	for _, ap := range addrs {
		a.Localities[0].Endpoints = append(a.Localities[0].Endpoints, &cluster.Endpoint{Addr: ap, Weight: 1})
	}
	return a
}

func addrs(n int) []netip.AddrPort {
	var out []netip.AddrPort
	for i := range n {
		out = append(out, netip.MustParseAddrPort(fmt.Sprintf("192.0.2.%d:80", i+1)))
	}
	return out
}

// mustOpen picks and opens.
func mustOpen(t testing.TB, c *Cluster, o *OpenInfo) *Attempt {
	t.Helper()
	h, perr := c.Pick(&PickInfo{Rand: 1})
	if perr != nil {
		t.Fatal(perr)
	}
	a, err := c.OpenHTTP(context.Background(), h, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// roundTrip sends a GET and reads the whole response.
func roundTrip(t testing.TB, a *Attempt) {
	t.Helper()
	var req, resp, tr header.Headers
	req.AddString(header.Method, "GET")
	req.AddString(header.Path, "/")
	req.AddString(header.Authority, "a")
	a.Begin(nil)
	if err := a.WriteHeaders(&req, true); err != nil {
		t.Fatal(err)
	}
	if err := a.Flush(); err != nil {
		t.Fatal(err)
	}
	code, err := a.ReadHeaders(&resp)
	if err != nil {
		t.Fatal(err)
	}
	for end := a.StartBody(&tr); !end; {
		if _, end, err = a.ReadBody(); err != nil {
			t.Fatal(err)
		}
	}
	a.Report(Outcome{Code: code})
}

// until waits for a condition that another goroutine brings about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(10 * time.Second)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("%s: not within 10 s", what)
		}
	}
}
