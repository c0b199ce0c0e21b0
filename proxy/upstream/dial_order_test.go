package upstream

import (
	"context"
	"fmt"
	"testing"
)

func TestDialOrder(t *testing.T) {
	f := func(hosts []rank, turn uint64, want string) {
		t.Helper()
		if got := fmt.Sprint(dialOrder(hosts, turn)); got != want {
			t.Errorf("%v, turn %d: %s, want %s", hosts, turn, got, want)
		}
	}
	f(nil, 3, "[]")
	same := []rank{{healthy, 0}, {healthy, 0}, {healthy, 0}}
	f(same, 0, "[0 1 2]")
	f(same, 1, "[1 2 0]")
	f(same, 5, "[2 0 1]")
	mixed := []rank{{healthy, 1}, {unhealthy, 0}, {healthy, 0}, {degraded, 0}, {healthy, 0}, {healthy, 1}}
	f(mixed, 0, "[2 4 0 5 3 1]")
	f(mixed, 1, "[4 2 5 0 3 1]")
	f(mixed, 1<<63, "[2 4 0 5 3 1]")
}

// The first host is dead: the next takes the connection, which counts like others.
func TestDialPassesOverTheDead(t *testing.T) {
	o := newOrigin(t)
	r := newRig(t, Options{})
	r.apply(static("a", refused(t), o.addr))
	c := r.get("a")
	for range 2 {
		conn, err := c.Dial(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() != o.addr.String() || c.Stats().CxActive.Value() != 1 {
			t.Errorf("connected to %v, %d connections", conn.RemoteAddr(), c.Stats().CxActive.Value())
		}
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	if n := c.Stats().CxConnectFail.Value(); n != 1 {
		t.Errorf("upstream_cx_connect_fail %d, want 1: hosts take turns", n)
	}
	if n := c.Stats().CxActive.Value(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
	r.apply(static("b"))
	if _, err := r.get("b").Dial(context.Background(), nil); err == nil {
		t.Error("connected to a cluster without hosts")
	}
}
