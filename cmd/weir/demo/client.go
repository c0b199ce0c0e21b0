package demo

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// client makes an HTTP client in the client's namespace; it believes that it
// talks to the server itself.
func (w *world) client() *http.Client {
	return &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{
		DialContext:         w.top.Client.DialContext(&net.Dialer{Timeout: 2 * time.Second}),
		TLSClientConfig:     &tls.Config{RootCAs: w.origins.certs, ServerName: "www.demo.test", MinVersion: tls.VersionTLS12},
		MaxIdleConnsPerHost: 64,
	}}
}

// answer is what a request came back with.
type answer struct {
	code           int
	origin, client string
	took           time.Duration
}

func (w *world) get(ctx context.Context, c *http.Client, url string) (answer, error) {
	start := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header.Get("x-origin"), resp.Header.Get("x-client"), time.Since(start)}, nil
}

// tally counts answers.
type tally struct {
	sent, failed int
	byOrigin     map[string]int
	slowest      time.Duration
	firstError   string
}

// share is an origin's part of the answers, in percent.
func (t tally) share(origin string) float64 {
	return 100 * float64(t.byOrigin[origin]) / float64(max(t.sent, 1))
}

// load sends n requests from several connections, or until stop is closed when n
// is 0, and counts what comes back.
func (w *world) load(ctx context.Context, url string, n int, stop <-chan struct{}) tally {
	const workers = 8
	t := tally{byOrigin: map[string]int{}}
	c := w.client()
	defer c.CloseIdleConnections()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := func() bool {
		mu.Lock()
		defer mu.Unlock()
		select {
		case <-stop:
			return false
		default:
		}
		if n > 0 && t.sent >= n || ctx.Err() != nil {
			return false
		}
		t.sent++
		return true
	}
	for range workers {
		wg.Go(func() {
			for next() {
				a, err := w.get(ctx, c, url)
				mu.Lock()
				if err != nil || a.code != http.StatusOK {
					t.failed++
					if t.firstError == "" {
						t.firstError = fmt.Sprintf("%d %v", a.code, err)
					}
				} else {
					t.byOrigin[a.origin]++
				}
				t.slowest = max(t.slowest, a.took)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return t
}

// adminGet asks Weir's admin interface.
func (w *world) adminGet(ctx context.Context, path string) (string, error) {
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.admin())
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// stat reads one counter or gauge.
func (w *world) stat(ctx context.Context, name string) (int, error) {
	body, err := w.adminGet(ctx, "/stats")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(body) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strconv.Atoi(strings.TrimSpace(v))
		}
	}
	return 0, fmt.Errorf("no statistic %s", name)
}
