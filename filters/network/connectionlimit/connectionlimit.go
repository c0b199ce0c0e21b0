// Package connectionlimit is envoy.filters.network.connection_limit: it closes
// connections of a filter chain that are too many at a time.
//
// The limit is one for the chain, over all workers, and exact. A connection that is
// refused counts until it is closed, also while it waits for the delay, as in Envoy.
package connectionlimit

import (
	"sync/atomic"
	"time"

	limitv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/connection_limit/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stats"
)

// Stats are the filter's statistics, under connection_limit.<stat_prefix>. and by
// Envoy's names.
type Stats struct {
	Limited *stats.Counter `stat:"limited_connections"`
	Active  *stats.Gauge   `stat:"active_connections"`
}

// A Config is the parsed configuration. It is immutable.
type Config struct {
	statPrefix string
	max        uint64
	delay      time.Duration // before a refused connection is closed
	enabled    match.Flag
}

// Factory is envoy.filters.network.connection_limit.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.connection_limit", parse, build)
}

func parse(m *limitv3.ConnectionLimit, ctx *extension.Context) (*Config, error) {
	var l fielderr.List
	c := &Config{
		statPrefix: m.GetStatPrefix(),
		max:        m.GetMaxConnections().GetValue(),
		delay:      l.Duration("delay", m.GetDelay(), 0),
		enabled:    match.NewFlag(m.GetRuntimeEnabled(), true, ctx.Runtime),
	}
	if m.GetMaxConnections() == nil {
		l.Addf("max_connections", "unset")
	}
	return c, l.Err()
}

func build(c *Config, bc *filters.BuildContext) (any, error) {
	return &filter{c: c, st: stats.Fill[Stats](bc.Stats.Scope("connection_limit", c.statPrefix))}, nil
}

type filter struct {
	c      *Config
	st     *Stats
	active atomic.Uint64 // connections of the chain, refused ones included
}

// OnAccept implements filters.AdmissionFilter.
func (f *filter) OnAccept(c *conn.Conn) filters.Verdict {
	if f.c.enabled.Never() {
		return filters.Continue
	}
	// While it is switched off by the runtime connections are counted all the same, for it may be switched on before they end.
	f.st.Active.Inc()
	if f.active.Add(1) <= f.c.max || !f.c.enabled.On() {
		return filters.Continue
	}
	f.st.Limited.Inc()
	c.Info.Details = "over_connection_limit"
	if f.c.delay > 0 {
		c.Discard(f.c.delay)
	}
	return filters.Stop
}

// OnConnectionEnd implements filters.ConnectionEnd.
func (f *filter) OnConnectionEnd(*conn.Conn) {
	if !f.c.enabled.Never() {
		f.active.Add(^uint64(0))
		f.st.Active.Dec()
	}
}
