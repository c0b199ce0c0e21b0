package health_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func config() *cluster.HealthCheck {
	return &cluster.HealthCheck{
		HealthyThreshold: 3, UnhealthyThreshold: 2,
		Interval: 1, NoTraffic: 2, NoTrafficHealthy: 3, Unhealthy: 4, UnhealthyEdge: 5, HealthyEdge: 6,
	}
}

// TestStep: results in letters (s success, d degraded, f failed, r retriable, n
// network, t timeout, p passive), and after each the health: + healthy, ~ degraded,
// - failing; in lower case letters what changed (u, c, C) and which interval is next.
func TestStep(t *testing.T) {
	letters := map[rune]health.Result{'s': health.Success, 'd': health.Degraded, 'f': health.Failed, 'r': health.Retriable, 'n': health.Network, 't': health.Timeout, 'p': health.Passive}
	names := map[time.Duration]string{1: "interval", 2: "no_traffic", 3: "no_traffic_healthy", 4: "unhealthy", 5: "unhealthy_edge", 6: "healthy_edge"}
	for _, tc := range []struct {
		name, results string
		idle          bool
		want          string
	}{
		{"the first success decides", "ss", false, "+C interval, +u interval"},
		{"the first failure decides", "nsss", false, "-C unhealthy, -c healthy_edge, -c healthy_edge, +C interval"},
		{"network failures are counted", "snn", false, "+C interval, +c unhealthy_edge, -C unhealthy"},
		{"timeouts are counted", "stt", false, "+C interval, +c unhealthy_edge, -C unhealthy"},
		{"retriable statuses are counted", "srr", false, "+C interval, +c unhealthy_edge, -C unhealthy"},
		{"a success begins the count anew", "snsn", false, "+C interval, +c unhealthy_edge, +u interval, +c unhealthy_edge"},
		{"a failure begins the count anew", "nssns", false, "-C unhealthy, -c healthy_edge, -c healthy_edge, -u unhealthy, -c healthy_edge"},
		{"a plain failure needs no threshold", "sff", false, "+C interval, -C unhealthy, -u unhealthy"},
		{"nor does one seen in traffic", "sp", false, "+C interval, -C unhealthy"},
		{"degraded", "sdds", false, "+C interval, ~C interval, ~u interval, +C interval"},
		{"no traffic", "ssnn", true, "+C no_traffic, +u no_traffic_healthy, +c no_traffic, -C no_traffic"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := config()
			var s health.State
			if !s.Failing() || !s.Pending() {
				t.Fatal("a new host is usable")
			}
			var got []string
			for _, l := range tc.results {
				r := letters[l]
				c := s.Step(cfg, r)
				sign := "+"
				switch {
				case s.Failing():
					sign = "-"
				case s.DegradedNow:
					sign = "~"
				}
				if s.Pending() {
					t.Error("pending after a result")
				}
				if s.TimedOut != (r == health.Timeout) {
					t.Errorf("TimedOut %v after %v", s.TimedOut, r)
				}
				got = append(got, sign+string("ucC"[c])+" "+names[health.Next(cfg, !tc.idle, r, c)])
			}
			if g := strings.Join(got, ", "); g != tc.want {
				t.Errorf("got  %s\nwant %s", g, tc.want)
			}
		})
	}
}

func TestJitter(t *testing.T) {
	most := func(n int64) int64 { return n - 1 }
	cfg := &cluster.HealthCheck{IntervalJitter: 2 * time.Second, IntervalJitterPercent: 50}
	if got, want := health.Jitter(cfg, 10*time.Second, most), 17*time.Second-2; got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := health.Jitter(&cluster.HealthCheck{}, time.Second, most); got != time.Second {
		t.Errorf("without jitter: %v", got)
	}
}
