package outlier

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var rewrite = flag.Bool("rewrite", false, "rewrite the scripts' outputs")

// TestScripts runs testdata/*.txt. A line is a command; the lines under it that
// begin with two spaces are what it does. # begins a comment.
//
//	config key=value …         change the configuration (Envoy's field names)
//	add NAME …  /  remove NAME
//	draw N                     what the next enforcement decisions draw, 0–99
//	NAME CODE [times]          the host answers with a status
//	NAME connect|timeout [n]   a local-origin failure
//	recovered NAME             the host passed an active health check
//	tick DURATION              time passes, then the interval's work is done
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := run(t, string(b))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(string(b), got); diff != "" {
				t.Errorf("%s (-want +got; accept with -rewrite):\n%s", f, diff)
			}
		})
	}
}

type world struct {
	t     *testing.T
	d     Detector
	cfg   cluster.Outlier
	now   time.Time
	draw  uint32
	hosts map[string]*Monitor
}

func run(t *testing.T, script string) string {
	w := &world{t: t, now: time.Unix(0, 0), hosts: map[string]*Monitor{}, cfg: cluster.Outlier{
		Consecutive5xx: 5, EnforcingConsecutive5xx: 100, ConsecutiveGateway: 5, ConsecutiveLocal: 5,
		EnforcingConsecutiveLocal: 100, Interval: 10 * time.Second, BaseEjection: 30 * time.Second,
		MaxEjection: 300 * time.Second, MaxEjectionPercent: 10,
	}}
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		f := strings.Fields(line)
		if len(f) == 0 || f[0] == "#" {
			continue
		}
		for _, a := range w.do(f) {
			fmt.Fprintf(&out, "  %s\n", w.text(a))
		}
	}
	return out.String()
}

func (w *world) text(a Action) string {
	name := a.Host.Owner.(string)
	switch a.Verb {
	case Detected:
		return fmt.Sprintf("%s: detected %v", name, a.Cause)
	case Eject:
		n, _ := a.Host.Ejections()
		return fmt.Sprintf("%s: ejected for the %d. time (%v), %d of %d out", name, n, a.Cause, w.d.Active(), len(w.d.hosts))
	case Overflow:
		return fmt.Sprintf("%s: stays, max_ejection_percent", name)
	}
	return fmt.Sprintf("%s: back at %v, %d of %d out", name, w.now.Sub(time.Unix(0, 0)), w.d.Active(), len(w.d.hosts))
}

func (w *world) do(f []string) []Action {
	switch f[0] {
	case "off":
		return w.d.Step(w.now, Event{Kind: Configure})
	case "config":
		for _, kv := range f[1:] {
			w.set(kv)
		}
		c := w.cfg
		return w.d.Step(w.now, Event{Kind: Configure, Config: &c})
	case "add":
		for _, n := range f[1:] {
			w.hosts[n] = &Monitor{Owner: n}
			w.d.Step(w.now, Event{Kind: Add, Host: w.hosts[n]})
		}
	case "remove":
		return w.d.Step(w.now, Event{Kind: Remove, Host: w.hosts[f[1]]})
	case "recovered":
		return w.d.Step(w.now, Event{Kind: Recovered, Host: w.hosts[f[1]]})
	case "draw":
		w.draw = uint32(w.num(f[1]))
	case "tick":
		d, err := time.ParseDuration(f[1])
		if err != nil {
			w.t.Fatal(err)
		}
		w.now = w.now.Add(d)
		return w.d.Step(w.now, Event{Kind: Tick})
	default:
		return w.observe(f)
	}
	return nil
}

func (w *world) observe(f []string) (out []Action) {
	m := w.hosts[f[0]]
	if m == nil {
		w.t.Fatalf("no host %q", f[0])
	}
	r, code, times := Responded, 0, 1
	switch f[1] {
	case "connect":
		r = ConnectFailed
	case "timeout":
		r = TimedOut
	default:
		code = w.num(f[1])
	}
	if len(f) > 2 {
		times = w.num(f[2])
	}
	for range times {
		if c := m.Observe(&w.cfg, r, code); c != 0 {
			out = append(out, w.d.Step(w.now, Event{Kind: Tripped, Host: m, Cause: c, Draw: w.draw})...)
		}
	}
	return out
}

func (w *world) set(kv string) {
	k, v, _ := strings.Cut(kv, "=")
	c := &w.cfg
	numbers := map[string]*uint32{
		"consecutive_5xx": &c.Consecutive5xx, "enforcing_consecutive_5xx": &c.EnforcingConsecutive5xx,
		"consecutive_gateway_failure": &c.ConsecutiveGateway, "enforcing_consecutive_gateway_failure": &c.EnforcingConsecutiveGateway,
		"consecutive_local_origin_failure": &c.ConsecutiveLocal, "enforcing_consecutive_local_origin_failure": &c.EnforcingConsecutiveLocal,
		"max_ejection_percent": &c.MaxEjectionPercent,
	}
	switch k {
	case "split_external_local_origin_errors":
		c.SplitLocal = v == "true"
	case "successful_active_health_check_uneject_host":
		c.KeepEjected = v == "false"
	case "always_eject_one_host":
		c.AlwaysEjectOne = v == "true"
	case "base_ejection_time", "max_ejection_time":
		d, err := time.ParseDuration(v)
		if err != nil {
			w.t.Fatal(err)
		}
		if k == "base_ejection_time" {
			c.BaseEjection = d
		} else {
			c.MaxEjection = d
		}
	default:
		if numbers[k] == nil {
			w.t.Fatalf("no field %q", k)
		}
		*numbers[k] = uint32(w.num(v))
	}
}

func (w *world) num(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestObserveAllocatesNothing(t *testing.T) {
	m, cfg := new(Monitor), &cluster.Outlier{Consecutive5xx: 1 << 30, ConsecutiveGateway: 1 << 30}
	if n := testing.AllocsPerRun(100, func() {
		m.Observe(cfg, Responded, 200)
		m.Observe(cfg, Responded, 503)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
