package demo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/intercept"
)

// steps are the story, in order.
var steps = []step{
	{"Plain HTTP to port 80 is intercepted; the server sees the client's own address", plainHTTP},
	{"TLS is routed by its server name, and not decrypted", tlsBySNI},
	{"Percentage routing: 90 % to v1, 10 % to v2", split},
	{"A live xDS push makes it 50/50, and no request is lost", livePush},
	{"One host of v2 turns slow: tries time out and are made again elsewhere", slowHost},
	{"One host of v2 breaks: its circuit breaker opens, then probes, then closes", breaker},
	{"A bad push is refused by its path, and the last good configuration serves on", badPush},
	{"kill -9: traffic reaches the server directly at once, and no rule is left", failOpen},
}

func (w *world) url(path string) string { return "http://" + w.top.ServerAddr4().String() + path }

func plainHTTP(ctx context.Context, w *world) (string, error) {
	c := w.client()
	defer c.CloseIdleConnections()
	a, err := w.get(ctx, c, w.url("/"))
	if err != nil {
		return "", err
	}
	if a.origin == "direct" || a.client != w.top.ClientAddr4().String() {
		return "", fmt.Errorf("answered by %s, which saw %s", a.origin, a.client)
	}
	taken, err := w.stat(ctx, "http.demo.downstream_rq_total")
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("GET %s → answered by %s (not by what listens on port 80), which saw client %s; Weir counts %d request", w.url("/"), a.origin, a.client, taken), nil
}

func tlsBySNI(ctx context.Context, w *world) (string, error) {
	c := w.client()
	defer c.CloseIdleConnections()
	a, err := w.get(ctx, c, "https://"+w.top.ServerAddr4().String()+"/")
	if err != nil {
		return "", err
	}
	n, err := w.stat(ctx, "tcp.sni.downstream_cx_total")
	if err != nil {
		return "", err
	}
	if a.origin != "tls" || n < 1 {
		return "", fmt.Errorf("answered by %q, %d connections by SNI", a.origin, n)
	}
	return fmt.Sprintf("SNI www.demo.test → cluster tls; the client verified the server's own certificate; %d connection", n), nil
}

// near tells whether a share is what it should be, within four standard
// deviations of n draws.
func near(got, want float64, n int) bool {
	p := want / 100
	return math.Abs(got-want) <= 400*math.Sqrt(p*(1-p)/float64(n))
}

func split(ctx context.Context, w *world) (string, error) {
	t := w.load(ctx, w.url("/"), 2000, nil)
	if t.failed > 0 || !near(t.share("v2"), 10, t.sent) {
		return "", fmt.Errorf("%v, %d failed (%s)", t.byOrigin, t.failed, t.firstError)
	}
	return fmt.Sprintf("%d requests: v1 %d, v2 %d (%.1f %%)", t.sent, t.byOrigin["v1"], t.byOrigin["v2"], t.share("v2")), nil
}

func livePush(ctx context.Context, w *world) (string, error) {
	stop, done := make(chan struct{}), make(chan tally)
	go func() { done <- w.load(ctx, w.url("/"), 0, stop) }()
	start := time.Now()
	err := w.control.push(ctx, routesURL, shares{V1: 50, V2: 50})
	took := time.Since(start)
	after := w.load(ctx, w.url("/"), 2000, nil)
	close(stop)
	during := <-done
	switch {
	case err != nil:
		return "", err
	case during.failed+after.failed > 0:
		return "", fmt.Errorf("%d of %d requests lost: %s", during.failed+after.failed, during.sent+after.sent, during.firstError+after.firstError)
	case !near(after.share("v2"), 50, after.sent):
		return "", fmt.Errorf("after the push: %v", after.byOrigin)
	}
	return fmt.Sprintf("accepted %s after the push; %d requests in flight around it, 0 lost; then v1 %d, v2 %d (%.1f %%)",
		took.Round(time.Millisecond/10), during.sent, after.byOrigin["v1"], after.byOrigin["v2"], after.share("v2")), nil
}

func slowHost(ctx context.Context, w *world) (string, error) {
	w.origins.v2b.delay.Store(int64(3 * time.Second))
	defer w.origins.v2b.delay.Store(0)
	before, err := w.stat(ctx, "cluster.v2.upstream_rq_retry")
	if err != nil {
		return "", err
	}
	t := w.load(ctx, w.url("/v2"), 100, nil)
	retries, err := w.stat(ctx, "cluster.v2.upstream_rq_retry")
	if err != nil {
		return "", err
	}
	timeouts, err := w.stat(ctx, "cluster.v2.upstream_rq_per_try_timeout")
	if err != nil {
		return "", err
	}
	if t.failed > 0 || retries == before || t.slowest > 2*time.Second {
		return "", fmt.Errorf("%d of %d failed (%s), %d retries, slowest %s", t.failed, t.sent, t.firstError, retries-before, t.slowest)
	}
	return fmt.Sprintf("the host needs 3 s, a try may take 100 ms: %d tries timed out, %d retries, all %d requests answered, the slowest in %s",
		timeouts, retries-before, t.sent, t.slowest.Round(time.Millisecond)), nil
}

func breaker(ctx context.Context, w *world) (string, error) {
	if err := w.control.push(ctx, clustersURL, shares{V1: 50, V2: 50, Breaker: true}); err != nil {
		return "", err
	}
	w.origins.v2b.fail.Store(true)
	defer w.origins.v2b.fail.Store(false)
	stats := func(name string) int {
		n, err := w.stat(ctx, "cluster.v2.weir_circuit_breaker."+name)
		if err != nil {
			return -1
		}
		return n
	}
	first := w.load(ctx, w.url("/v2"), 60, nil)
	opened := stats("opened")
	if opened < 1 || first.failed > 0 {
		return "", fmt.Errorf("opened %d times; %d failed (%s)", opened, first.failed, first.firstError)
	}
	hits := w.origins.v2b.count.Load()
	second := w.load(ctx, w.url("/v2"), 60, nil)
	while := w.origins.v2b.count.Load() - hits
	w.origins.v2b.fail.Store(false)
	err := w.until(ctx, func() (bool, error) {
		t := w.load(ctx, w.url("/v2"), 10, nil)
		if t.failed > 0 {
			return false, errors.New(t.firstError)
		}
		return stats("closed") >= 1 && stats("open_hosts") == 0, nil
	})
	if err != nil {
		return "", fmt.Errorf("closing again: %w (closed %d, open hosts %d)", err, stats("closed"), stats("open_hosts"))
	}
	return fmt.Sprintf("5 failures in a row opened it; while open the host got %d of %d requests, none failed; healed: %d half-open probes, closed",
		while, second.sent, stats("half_opened")), nil
}

func badPush(ctx context.Context, w *world) (string, error) {
	err := w.control.push(ctx, routesURL, shares{V1: 0, V2: 0, Breaker: true})
	if err == nil {
		return "", errors.New("a route whose weights add up to 0 was accepted")
	}
	t := w.load(ctx, w.url("/"), 200, nil)
	if t.failed > 0 {
		return "", fmt.Errorf("after the refusal %d requests failed: %s", t.failed, t.firstError)
	}
	return fmt.Sprintf("%s; %d of %d requests answered meanwhile", firstLine(err.Error()), t.sent-t.failed, t.sent), nil
}

func firstLine(s string) string {
	for i, c := range s {
		if c == '\n' {
			return s[:i]
		}
	}
	return s
}

func failOpen(ctx context.Context, w *world) (string, error) {
	if err := w.weir.Process.Signal(unix.SIGKILL); err != nil {
		return "", err
	}
	start := time.Now()
	c := w.client()
	defer c.CloseIdleConnections()
	var a answer
	for {
		var err error
		if a, err = w.get(ctx, c, w.url("/")); err == nil && a.origin == "direct" {
			break
		}
		if time.Since(start) > time.Second {
			return "", fmt.Errorf("after a second: %+v, %v", a, err)
		}
	}
	took := time.Since(start)
	var left string
	err := w.top.Gateway.Do(func() error {
		s, err := intercept.GetStatus(intercept.DefaultName)
		if err == nil && s.Active {
			left = s.Name
		}
		return err
	})
	if err != nil || left != "" {
		return "", fmt.Errorf("left behind: %q, %w", left, err)
	}
	return fmt.Sprintf("first direct answer %s after the kill; the kernel removed the rules with the process", took.Round(time.Millisecond/10)), nil
}

// hostState describes the network namespace around the demo.
func hostState() (string, error) {
	tables, err := intercept.Tables()
	if err != nil {
		return "", err
	}
	rules, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return "", err
	}
	links, err := netlink.LinkList()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d nft tables, %d ip rules, %d links", len(tables), len(rules), len(links)), nil
}

func withoutRoot() string {
	if os.Getenv("WEIR_NETNS_CHILD") != "" {
		return ", without root"
	}
	return ""
}
