package intercept

import (
	"context"
	"slices"
	"testing"
	"time"
)

func TestWatchRepairsDrift(t *testing.T) {
	r := newRig(t)
	p := Plan{ListenPort: proxyPort}
	h := r.apply(p, Resident)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reports := make(chan []Finding, 10)
	done := make(chan error)
	go func() {
		done <- r.Gateway.Do(func() error {
			h.Watch(ctx, 5*time.Millisecond, func(f []Finding, err error) {
				if err != nil {
					t.Error(err)
				}
				reports <- f
			})
			return nil
		})
	}()
	for i, want := range []string{"route-missing", "ip-rule-missing"} {
		r.on(func() error { return r.delRouting(p, i) })
		f := <-reports
		if len(f) != 1 || f[0].Code != want {
			t.Errorf("got %v, want %s", f, want)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := r.verify(p); got != nil {
		t.Errorf("verify afterwards: %v", got)
	}
	if s := r.status(DefaultName); slices.ContainsFunc(s.Routing, func(r RoutingStatus) bool { return !r.Present }) {
		t.Errorf("status: %+v", s)
	}
}
