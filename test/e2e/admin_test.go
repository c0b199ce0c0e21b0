package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// admin asks Weir's admin interface.
func (w *world) admin(path string) (string, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", w.socket())
	}}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost"+path, nil)
	if err != nil {
		return "", err
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// mustAdmin is admin where nothing may go wrong.
func (w *world) mustAdmin(path string) string {
	w.t.Helper()
	body, err := w.admin(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// stats reads all counters and gauges.
func (w *world) stats() map[string]int {
	w.t.Helper()
	out := map[string]int{}
	for line := range strings.Lines(w.mustAdmin("/stats")) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			continue
		}
		if n, err := strconv.Atoi(value); err == nil {
			out[name] = n
		}
	}
	return out
}

// stat reads one counter or gauge.
func (w *world) stat(name string) int {
	w.t.Helper()
	n, ok := w.stats()[name]
	if !ok {
		w.t.Fatalf("no statistic %s", name)
	}
	return n
}

// waitStat waits until a statistic has at least a value.
func (w *world) waitStat(name string, want int) {
	w.t.Helper()
	w.until(fmt.Sprintf("%s ≥ %d", name, want), func() error {
		if got := w.stat(name); got < want {
			return fmt.Errorf("%d", got)
		}
		return nil
	})
}

// listenerStat gives the sum of a statistic over the listeners, whose names have
// the address in them.
func (w *world) listenerStat(name string) int {
	w.t.Helper()
	sum := 0
	for k, v := range w.stats() {
		if strings.HasPrefix(k, "listener.") && !strings.HasPrefix(k, "listener.admin.") && strings.HasSuffix(k, "."+name) {
			sum += v
		}
	}
	return sum
}
