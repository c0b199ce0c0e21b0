package upstream

import (
	"testing"
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

func TestRefresh(t *testing.T) {
	const s = time.Second
	for _, tc := range []struct {
		name     string
		d        cluster.DNS
		ttl      time.Duration
		failures int
		want     time.Duration
	}{
		{"default", cluster.DNS{}, 0, 0, 5 * s},
		{"configured", cluster.DNS{Refresh: 7 * s}, 60 * s, 0, 7 * s},
		{"ttl", cluster.DNS{Refresh: 7 * s, RespectTTL: true}, 60 * s, 0, 60 * s},
		{"ttl of 0", cluster.DNS{Refresh: 7 * s, RespectTTL: true}, 0, 0, 7 * s},
		{"failure", cluster.DNS{Refresh: 7 * s, RespectTTL: true}, 60 * s, 3, 7 * s},
		{"first failure", cluster.DNS{FailureRefresh: s, FailureRefreshMax: 10 * s}, 0, 1, s},
		{"third failure", cluster.DNS{FailureRefresh: s, FailureRefreshMax: 10 * s}, 0, 3, 4 * s},
		{"many failures", cluster.DNS{FailureRefresh: s, FailureRefreshMax: 10 * s}, 0, 1000, 10 * s},
	} {
		if got := refresh(&tc.d, tc.ttl, tc.failures); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}
