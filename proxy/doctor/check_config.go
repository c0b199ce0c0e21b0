package doctor

import (
	"fmt"
	"strings"
	"time"
)

func adminUnreachable(f *Facts) []Finding {
	if f.LiveError == "" {
		return nil
	}
	return []Finding{{
		Text: "the admin interface " + f.Asked + " does not answer", Evidence: []string{f.LiveError},
		Advice: "is that its address (the bootstrap's admin.address), and may this user open it?",
	}}
}

// online gives the state of the xDS client of a running process; nil without one.
func (f *Facts) online() *LiveXDS {
	if f.Live == nil || f.Live.Offline {
		return nil
	}
	return f.Live.XDS
}

func seconds(s float64) string {
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

func controlPlane(f *Facts) (out []Finding) {
	x := f.online()
	if x == nil {
		return nil
	}
	for _, s := range x.Sources {
		if s.Connected {
			continue
		}
		y := Finding{
			Object: "source " + s.Name, Text: fmt.Sprintf("source %s is not connected since %s", s.Name, seconds(s.For)),
			Evidence: []string{fmt.Sprintf("%s; %d tries failed", s.Error, s.Failures)},
		}
		for _, r := range f.Reach {
			if r.Kind == kindControl {
				y.Evidence = append(y.Evidence, strings.TrimSuffix("from here, "+r.Addr+": "+r.Error, ": ")+connected(r.Error))
			}
		}
		y.Advice = reachAdvice(y.Evidence) + "; what serves now goes on serving"
		out = append(out, y)
	}
	return out
}

func connected(err string) string {
	if err == "" {
		return " answers"
	}
	return ""
}

func rejected(f *Facts) (out []Finding) {
	x := f.online()
	if x == nil {
		return nil
	}
	for _, n := range x.NACKs {
		out = append(out, Finding{
			Object: "type " + n.Type, Text: fmt.Sprintf("version %q of %s was rejected at %s", n.Version, n.Type, n.At.Format(time.RFC3339)),
			Evidence: few(strings.Split(strings.TrimSpace(n.Text), "\n")), Advice: "correct it at the control plane; try it before: weir validate --against",
		})
	}
	return out
}

func notApplied(f *Facts) []Finding {
	x := f.online()
	if x == nil || x.ApplyError == "" {
		return nil
	}
	return []Finding{{Text: "the last configuration could not be put in force as a whole", Evidence: few(strings.Split(x.ApplyError, "\n"))}}
}

// warmingFor is how long, in seconds, a resource may wait without being told.
const warmingFor = 5

func warming(f *Facts) (out []Finding) {
	x := f.online()
	if x == nil {
		return nil
	}
	for _, w := range x.Warming {
		if w.For < warmingFor {
			continue
		}
		out = append(out, Finding{
			Object: w.Kind + " " + w.Name, Text: fmt.Sprintf("%s %s waits for %s, since %s", w.Kind, w.Name, w.Blocker, seconds(w.For)),
			Evidence: []string{"GET /xds: warming"},
			Advice:   "the control plane has to send it, also when it is empty",
		})
	}
	return out
}

func lastGood(f *Facts) []Finding {
	x := f.online()
	if x == nil || x.LastGood == nil {
		return nil
	}
	return []Finding{{
		Text:     fmt.Sprintf("%d resources serve from the last known good configuration", x.LastGood.Resources),
		Evidence: []string{"saved " + x.LastGood.Saved.Format(time.RFC3339)}, Advice: "no control plane has answered for them in this run",
	}}
}

func degraded(f *Facts) []Finding {
	if f.Live == nil || f.Live.XDS == nil || len(f.Live.XDS.Degraded) == 0 {
		return nil
	}
	return []Finding{{Text: "the configuration has fields without effect", Evidence: few(f.Live.XDS.Degraded), Advice: "GET /xds lists them; docs/supported-fields.md says what is supported"}}
}

func notLive(f *Facts) []Finding {
	if f.Live == nil || f.Live.Offline || f.Live.State == "" || f.Live.State == "LIVE" {
		return nil
	}
	x := Finding{Text: "the server is " + f.Live.State, Evidence: []string{"GET /ready: " + f.Live.State}, Advice: "GET /init_dump and /xds name what is waited for"}
	if f.Live.State == "DRAINING" {
		x.Level, x.Advice = Warning, "it was asked to end, or to fail its health checks"
	}
	return []Finding{x}
}
