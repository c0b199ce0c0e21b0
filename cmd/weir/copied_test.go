package main

import (
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// TestCopiedAfterReset resets counters that are copied: what was counted before
// does not come back, and what is counted after is shown.
func TestCopiedAfterReset(t *testing.T) {
	store := stats.NewStore()
	from := new(xds.Stats)
	pub, secrets := newPublisher(store, from, 0), newSecretPublisher(store)
	extensions := newExtensionPublisher(store.Scope(""), extension.NewRegistry(builtin.Filters()))
	const fault = "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault"
	publish := func(n uint64) {
		c := xds.Counters{Attempt: n, Success: n, Rejected: n, Failure: n, FetchTimeout: n}
		clusters := from.Type(config.ClusterURL)
		clusters.Attempt.Store(n)
		from.RateLimited.Store(n)
		pub.publish("LIVE")
		secrets.publish([]xds.SecretStatus{{Name: "s", Key: "s", Counters: c}})
		extensions.publish([]xds.SecretStatus{{Name: "f", Key: "f", Types: fault, Counters: c}})
	}
	want := func(when string, n int64) {
		t.Helper()
		for _, name := range []string{
			"cluster_manager.cds.update_attempt", "control_plane.rate_limit_enforced", "sds.s.update_attempt", "sds.s.init_fetch_timeout",
			"extension_config_discovery.http_filter.f.update_rejected", "extension_config_discovery.http_filter.f.config_fail",
		} {
			w := n
			if name == "extension_config_discovery.http_filter.f.config_fail" {
				w *= 3 // rejected, failed and timed out
			}
			if v, ok := store.Value(name); !ok || v != w {
				t.Errorf("%s: %s is %d, want %d", when, name, v, w)
			}
		}
	}
	publish(5)
	publish(5)
	want("before", 5)
	store.ResetCounters()
	publish(5)
	want("after a reset", 0)
	publish(7)
	want("counted after it", 2)
	publish(1)
	want("counted anew", 3)
}

func TestServerVersion(t *testing.T) {
	for _, c := range []struct {
		override uint64
		revision string
		want     int64
	}{
		{0, "9e5580933739775e8bce696a57a2e1bc99368f23", 0x9e5580},
		{7, "9e5580933739775e8bce696a57a2e1bc99368f23", 7},
		{1 << 63, "", 1<<63 - 1},
		{0, "", 0},
		{0, "12345", 0},
		{0, "weir-dev", 0},
	} {
		if got := serverVersion(c.override, c.revision); got != c.want {
			t.Errorf("%d, %q: %d, want %d", c.override, c.revision, got, c.want)
		}
	}
}
