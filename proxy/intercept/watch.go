package intercept

import (
	"context"
	"slices"
	"sync"
	"time"
)

// settle is how long changes may come in before they are looked at together, and
// how long looks are apart at least: routers see changes all the time.
const settle = 200 * time.Millisecond

// A Drift is what somebody changed of an interception.
type Drift struct {
	At       time.Time `json:"at"`
	Findings []Finding `json:"findings"` // of level Problem; none: all is as planned again
	Repaired bool      `json:"repaired"` // by us; the findings are what was found before
	Err      error     `json:"-"`        // of the repair
}

// Watching says how an interception is watched.
type Watching struct {
	Plan   func() Plan  // that is to be in force
	Repair func() error // puts it in force again; nil: drift is reported only
	Every  time.Duration
	Report func(Drift) // called when what is found differs from the last time
}

// Watch looks for drift until ctx ends: when the kernel tells that somebody changed
// routes, policy rules, settings or nftables rules, and every so often for what is not
// told. It works on the network namespace of the calling thread, where it has to stay.
func (w Watching) Watch(ctx context.Context) error {
	poked := make(chan struct{}, 1)
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := events(ctx, &wg, func() {
		select {
		case poked <- struct{}{}:
		default:
		}
	}); err != nil {
		return err
	}
	tick := time.NewTicker(w.Every)
	defer tick.Stop()
	pause := time.NewTimer(settle)
	defer pause.Stop()
	var last []Finding
	for {
		last = w.look(last)
		pause.Reset(settle)
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-poked:
		}
	}
}

// look verifies, repairs and reports; it gives what it found and could not repair.
func (w Watching) look(last []Finding) []Finding {
	d := Drift{At: time.Now(), Findings: w.problems()}
	left := d.Findings
	if len(left) > 0 && w.Repair != nil {
		d.Err = w.Repair()
		left = w.problems()
		d.Repaired = d.Err == nil && len(left) == 0
	}
	if d.Repaired || !slices.Equal(d.Findings, last) {
		w.Report(d)
	}
	return left
}

func (w Watching) problems() []Finding {
	return slices.DeleteFunc(Verify(w.Plan()), func(f Finding) bool { return f.Level != Problem })
}

// Mend is Reapply of the plan in force, and sets its sysctls again.
func (h *Handle) Mend() error {
	if err := h.Reapply(h.Plan()); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, s := range h.plan.Sysctls {
		if i < len(h.sysctls) {
			if err := h.sysctls[i].write(s.Value); err != nil {
				return err
			}
		}
	}
	return nil
}
