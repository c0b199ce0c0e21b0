package upstream

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

func TestEjectionEndsConnections(t *testing.T) {
	for _, all := range []bool{false, true} {
		o := newOrigin(t)
		r := newRig(t, Options{})
		cfg := static("a", o.addr)
		cfg.CloseOnUnhealthy = all
		cfg.Outlier = &cluster.Outlier{Consecutive5xx: 1, EnforcingConsecutive5xx: 100, AlwaysEjectOne: true, BaseEjection: time.Hour, Interval: time.Hour}
		r.apply(cfg)
		c := r.get("a")
		busy, idle := mustOpen(t, c, &OpenInfo{}), mustOpen(t, c, &OpenInfo{})
		roundTrip(t, idle)
		idle.Release()
		up, err := c.OpenTCP(context.Background(), busy.Host, &OpenInfo{})
		if err != nil {
			t.Fatal(err)
		}
		busy.Host.Report(Outcome{Code: 500})
		if got := c.Stats().CxActive.Value(); got != 2 {
			t.Errorf("close_connections_on_host_health_failure %v: %d connections after the ejection, want 2: the idle one has gone", all, got)
		}
		roundTrip(t, busy) // what is under way may finish
		busy.Release()
		if got := c.Stats().CxActive.Value(); got != 1 {
			t.Errorf("%d connections, want 1: a connection from before is not kept", got)
		}
		if all {
			if _, err := up.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("reading from the ejected host: %v, want EOF", err)
			}
		} else if _, err := up.Write([]byte("GET / HTTP/1.1\r\nhost: a\r\n\r\n")); err != nil {
			t.Errorf("writing to the ejected host: %v", err)
		}
		_ = up.Close()
		// In panic the host is used all the same, over a new connection.
		again := mustOpen(t, c, &OpenInfo{})
		if again.Reused {
			t.Error("a connection from before the ejection was used again")
		}
		again.Release()
	}
}
