package intercept

import (
	"fmt"
	"testing"
)

func TestTheAgeOfALeaseIsReadInTicks(t *testing.T) {
	const uptime = 34117.5 // seconds
	for _, hz := range []float64{100, 250, 300, 1000} {
		ticks := func(ago float64) uint64 { return uint64(1<<32 - 300*hz + (uptime-1.3-ago)*hz) } // they begin a little later
		file := func(ago float64) string {
			return fmt.Sprintf("src=0.0.0.0 ttl: 0 last_seen: %d oldest_pkt: 1 %[1]d\nsrc=255.255.255.255 ttl: 0 last_seen: %d oldest_pkt: 1 %[2]d\n", ticks(ago), ticks(0))
		}
		for ago, want := range map[float64]bool{0: true, 1: true, 2.9: true, 3.2: false, 60: false} {
			if got := recentFresh(file(ago), uptime*1e9); got != want {
				t.Errorf("HZ %v: renewed %v s ago: fresh %v, want %v", hz, ago, got, want)
			}
		}
	}
	for _, none := range []string{"", "src=255.255.255.255 ttl: 0 last_seen: 4303421739 oldest_pkt: 1 4303421739\n"} {
		if recentFresh(none, 1e9) {
			t.Errorf("%q is fresh", none)
		}
	}
}
