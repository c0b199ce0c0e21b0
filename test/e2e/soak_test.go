package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// soakGrowth is how much the process may grow, in KiB, once it is warm.
const soakGrowth = 64 << 10

// TestSoakGarbageAndLoad runs for WEIR_SOAK (make soak): garbage and honest load
// at once; nothing may be lost, leak or end.
func TestSoakGarbageAndLoad(t *testing.T) {
	limit, err := time.ParseDuration(os.Getenv("WEIR_SOAK"))
	if err != nil {
		t.Skip("set WEIR_SOAK to a duration (make soak)")
	}
	w := newWorld(t)
	addrs := w.serveGarbage()
	p := w.start(passthrough, takeAll...)
	l := w.startLoad("http://"+w.at4("80")+"/", 2, 0)
	end := time.Now().Add(limit)
	warm, start := 0, time.Now()
	for round := uint64(1); time.Now().Before(end); round++ {
		w.flood(round, addrs, func(i int) bool { return i < 200 && time.Now().Before(end) })
		if warm == 0 && time.Since(start) > limit/4 {
			warm = p.rss()
		}
	}
	last := p.rss()
	if got := l.end(); got.failed > 0 {
		t.Error(got)
	} else {
		t.Log(got, "resident", warm, "→", last, "KiB")
	}
	if warm > 0 && last > warm+soakGrowth {
		t.Errorf("grew from %d to %d KiB", warm, last)
	}
	if n := w.listenerStat("downstream_cx_panic"); n != 0 {
		t.Errorf("%d panics", n)
	}
	if body := w.mustAdmin("/ready"); body != "LIVE\n" {
		t.Errorf("state %q", body)
	}
}

// rss is the resident memory in KiB.
func (p *process) rss() (kib int) {
	p.w.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.w.t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(b), "VmRSS:")
	if _, err := fmt.Sscan(after, &kib); err != nil {
		p.w.t.Fatal(err)
	}
	return kib
}
