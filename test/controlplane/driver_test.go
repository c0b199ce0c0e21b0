package controlplane

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/netns"
)

const (
	message = "Hi, there!\n"
	most    = 60 * time.Second // for one mode, on a busy machine; alone it takes 4 to 8 s
)

// TestDriver runs the modes of upstream's Makefile (integration.ads, .xds, .rest, .xds.mux, .xds.delta, .ads.delta), and ADS with TLS:
// secrets by SDS. In each, the driver pushes three snapshots under other names, and sends requests through every listener; a snapshot
// passes when all requests of a batch do.
func TestDriver(t *testing.T) {
	for _, m := range []struct {
		name, mode string
		args       []string
	}{
		{"ads", "ads", []string{"-runtimes=2"}},
		{"xds", "xds", nil},
		{"rest", "rest", []string{"-delay=500ms"}},
		{"mux", "xds", []string{"-mux"}},
		{"delta", "delta", nil},
		{"delta-ads", "delta-ads", nil},
		{"ads with TLS", "ads", []string{"-runtimes=2", "-tls"}},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.upstream()
			w.start("weir", "-c", sample(t, m.mode), "--drain-time-s", "1", "-l", "info")
			args := append([]string{"-xds=" + m.mode, "-message=" + message, "-debug", "-delay=250ms"}, m.args...)
			out, err := w.run("driver", append(args, gaps(t, m.mode)...)...)
			if err != nil || !strings.Contains(out, "passed!") {
				t.Errorf("driver: %v\n%s", err, out)
			}
			w.check(m.mode)
			if t.Failed() {
				t.Logf("weir:\n%s", w.logs.String())
			}
		})
	}
}

// A world is a network namespace with what a mode needs.
type world struct {
	t    *testing.T
	ns   *netns.NS
	ctx  context.Context
	logs buffer // of Weir
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if err := netns.Available(); err != nil {
		t.Skipf("no network namespace: %v", err)
	}
	if err := buildWeir(); err != nil {
		t.Fatal(err)
	}
	if err := buildDriver(); err != nil {
		t.Skipf("the driver cannot be built here: %v", err)
	}
	ns, err := netns.New("")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), most)
	t.Cleanup(func() {
		cancel()
		if err := ns.Close(); err != nil {
			t.Error(err)
		}
	})
	return &world{t: t, ns: ns, ctx: ctx}
}

// upstream is the server that the driver's clusters lead to.
func (w *world) upstream() {
	w.t.Helper()
	ln, err := w.ns.Listen(w.ctx, nil, "tcp", "127.0.0.1:18080")
	if err != nil {
		w.t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(rw, message) })}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(ln) })
	w.t.Cleanup(func() { _ = s.Close(); wg.Wait() })
}

// start starts a program that runs until the test ends.
func (w *world) start(name string, args ...string) {
	w.t.Helper()
	c := w.ns.Command(w.ctx, filepath.Join(built.dir, name), args...)
	c.Stdout, c.Stderr = &w.logs, &w.logs
	if err := c.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
}

func (w *world) run(name string, args ...string) (string, error) {
	out, err := w.ns.Command(w.ctx, filepath.Join(built.dir, name), args...).CombinedOutput()
	return string(out), err
}

// check asks Weir whether it took everything.
func (w *world) check(mode string) {
	w.t.Helper()
	tr := &http.Transport{DialContext: w.ns.DialContext(nil)}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(w.ctx, http.MethodGet, "http://127.0.0.1:19000/stats?format=json", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Stats []struct {
			Name  string `json:"name"`
			Value any    `json:"value"`
		} `json:"stats"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		w.t.Fatal(err)
	}
	value := map[string]string{}
	for _, s := range got.Stats {
		value[s.Name] = fmt.Sprint(s.Value)
		if strings.HasSuffix(s.Name, ".update_rejected") && value[s.Name] != "0" {
			w.t.Errorf("%s is %v in mode %s", s.Name, s.Value, mode)
		}
	}
	for _, name := range []string{"listener_manager.lds.update_success", "access_logs.grpc_access_log.logs_written"} {
		if v := value[name]; v == "" || v == "0" {
			w.t.Errorf("%s is %q in mode %s", name, v, mode)
		}
	}
}

// A buffer keeps what a process writes.
type buffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
