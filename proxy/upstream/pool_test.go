package upstream

import (
	"context"
	"testing"
)

func TestConnectionIsReusedAndPoolIsLIFO(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")

	a, b := mustOpen(t, c, &OpenInfo{}), mustOpen(t, c, &OpenInfo{})
	roundTrip(t, a)
	roundTrip(t, b)
	a.Release()
	b.Release()
	again := mustOpen(t, c, &OpenInfo{})
	if again != b || !again.Reused {
		t.Errorf("took %p (reused %v), want the one released last, %p", again, again.Reused, b)
	}
	roundTrip(t, again)
	again.Release()
	if n := o.accepted(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	if got := c.Stats().CxActive.Value(); got != 2 {
		t.Errorf("upstream_cx_active %d, want 2", got)
	}
	if got := c.Stats().RqTotal.Value(); got != 3 {
		t.Errorf("upstream_rq_total %d, want 3", got)
	}
}

func TestDeadIdleConnectionIsNeverHandedOut(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	a := mustOpen(t, c, &OpenInfo{})
	roundTrip(t, a)
	a.Release()
	o.hangUp()
	until(t, "hang-up closes the idle connection", func() bool { return c.Stats().CxActive.Value() == 0 })
	if got := c.Stats().CxDestroyRemote.Value(); got != 1 {
		t.Errorf("upstream_cx_destroy_remote %d, want 1", got)
	}
	b := mustOpen(t, c, &OpenInfo{})
	if b.Reused {
		t.Error("got a used connection, want a new one")
	}
	b.Release()
}

func TestPooledOpenAndReleaseAllocateNothing(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", o.addr))
	c := r.get("a")
	a := mustOpen(t, c, &OpenInfo{})
	roundTrip(t, a)
	a.Release()
	ctx, info, pick := context.Background(), &OpenInfo{}, &PickInfo{}
	name := []byte("a")
	if n := testing.AllocsPerRun(1000, func() {
		c, _ := r.m.GetBytes(name)
		pick.Rand++
		h, err := c.Pick(pick)
		if err != nil {
			t.Fatal(err)
		}
		a, err := c.OpenHTTP(ctx, h, info)
		if err != nil {
			t.Fatal(err)
		}
		a.Report(Outcome{Code: 200})
		c.CountResponse(200)
		a.Release()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
	if n := o.accepted(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}
