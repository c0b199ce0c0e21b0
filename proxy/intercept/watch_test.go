package intercept

import (
	"context"
	"os"
	"slices"
	"testing"
	"time"
)

// watching starts to watch a plan on the gateway; it ends with the test.
func (r *rig) watching(p Plan, repair func() error) (reports chan Drift) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	reports = make(chan Drift, 10)
	done := make(chan error)
	go func() {
		done <- r.Gateway.Do(func() error {
			w := Watching{Plan: func() Plan { return p }, Repair: repair, Every: time.Hour, Report: func(d Drift) { reports <- d }}
			return w.Watch(ctx)
		})
	}()
	r.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Error(err)
		}
	})
	return reports
}

// The kernel tells of every change: the slow timer is not waited for.
func TestWatchRepairsDrift(t *testing.T) {
	r := newRig(t)
	p := Plan{ListenPort: proxyPort, Sysctls: []Sysctl{{"net.ipv4.conf.lan0.rp_filter", "2"}}}
	h := r.apply(p, Installed)
	reports := r.watching(p, h.Mend)
	for _, c := range []struct {
		want string
		do   func() error
	}{
		{"route-missing", func() error { return r.delRouting(p, 0) }},
		{"ip-rule-missing", func() error { return r.delRouting(p, 1) }},
		{"table-missing", func() error {
			nf, err := dialNF()
			if err != nil {
				return err
			}
			defer nf.close()
			return nf.commit(clearTable("weir-main"))
		}},
		{"sysctl-drift", func() error { return os.WriteFile("/proc/sys/net/ipv4/conf/lan0/rp_filter", []byte("0"), 0) }},
	} {
		r.on(c.do)
		d := <-reports
		if len(d.Findings) != 1 || d.Findings[0].Code != c.want || !d.Repaired || d.Err != nil {
			t.Errorf("got %+v, want %s, repaired", d, c.want)
		}
		if got := r.verify(p); got != nil {
			t.Errorf("%s: verify afterwards: %v", c.want, got)
		}
	}
	if s := r.status(DefaultName); slices.ContainsFunc(s.Routing, func(r RoutingStatus) bool { return !r.Present }) {
		t.Errorf("status: %+v", s)
	}
}

func TestWatchReportsOnly(t *testing.T) {
	r := newRig(t)
	p := Plan{ListenPort: proxyPort}
	h := r.apply(p, Resident)
	reports := r.watching(p, nil)
	r.on(func() error { return r.delRouting(p, 1) })
	if d := <-reports; len(d.Findings) != 1 || d.Findings[0].Code != "ip-rule-missing" || d.Repaired {
		t.Errorf("%+v", d)
	}
	if err := h.Mend(); err != nil {
		t.Fatal(err)
	}
	if d := <-reports; len(d.Findings) != 0 {
		t.Errorf("after the repair: %+v", d)
	}
}
