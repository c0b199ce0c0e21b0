package intercept

import (
	"context"
	"slices"
	"time"
)

// Watch verifies the interception at every tick until ctx ends, repairs what has
// drifted and reports it: others may remove our policy rules or routes, and an
// installed table. It must run in the network namespace of Apply.
//
// report gets the findings of level Problem, and the error of the repair or nil;
// it is called only when they differ from the last time's.
func (h *Handle) Watch(ctx context.Context, every time.Duration, report func([]Finding, error)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var last []Finding
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := h.Plan()
		found := slices.DeleteFunc(Verify(p), func(f Finding) bool { return f.Level != Problem })
		var err error
		if len(found) > 0 {
			err = h.Reapply(p)
		}
		if !slices.Equal(found, last) && len(found) > 0 {
			report(found, err)
		}
		last = found
	}
}
