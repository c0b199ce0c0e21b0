package grpcstats

import (
	"testing"

	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/stats"
)

func TestCountingAllocatesNothing(t *testing.T) {
	all := map[string]*book{}
	x := books{cfg: &settings{methods: map[string]struct{}{"a.B/M": {}}}}
	x.all.Store(&all)
	st := stats.NewStore()
	all["a"] = newBook(st.Scope("cluster", "a", "grpc"))
	all["a\x00a.B/M"] = newBook(st.Scope("cluster", "a", "grpc", "a.B", "M"))
	service, m, n := []byte("a.B"), []byte("M"), []byte("N")
	if got := testing.AllocsPerRun(100, func() {
		x.of("a", service, m).count(grpc.Unavailable)
		x.of("a", service, n).count(grpc.OK)
	}); got != 0 {
		t.Errorf("%v allocations for two calls", got)
	}
	if all["a"].Success.Value() == 0 || all["a\x00a.B/M"].Failure.Value() == 0 {
		t.Error("not counted")
	}
}
