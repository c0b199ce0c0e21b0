package main

import (
	"math"
	"runtime/metrics"
	"time"

	"github.com/weirproxy/weir/proxy/stats"
)

// processStats are about the process as well, under server. (Envoy: server statistics).
type processStats struct {
	Allocated     *stats.Gauge     `stat:"memory_allocated"`     // bytes of live and dead objects
	Heap          *stats.Gauge     `stat:"memory_heap_size"`     // bytes that the heap has
	Physical      *stats.Gauge     `stat:"memory_physical_size"` // bytes that the runtime has of the system
	Connections   *stats.Gauge     `stat:"total_connections"`    // downstream
	Parents       *stats.Gauge     `stat:"parent_connections"`   // 0: there is no hot restart
	Epoch         *stats.Gauge     `stat:"hot_restart_epoch"`    // 0 for the same reason
	FirstExpiry   *stats.Gauge     `stat:"days_until_first_cert_expiring"`
	InitializedMs *stats.Histogram `stat:"initialization_time_ms"` // from the start to LIVE
}

// clusterWarming and listenerWarming are about what waits for something else, under
// cluster_manager. and listener_manager.
type (
	clusterWarming struct {
		Now *stats.Gauge `stat:"warming_clusters"`
	}
	listenerWarming struct {
		Now *stats.Gauge `stat:"total_listeners_warming"`
	}
)

// expiryEvery is how often certificates are looked at.
const expiryEvery = 10 * time.Second

type processPublisher struct {
	to      *processStats
	samples []metrics.Sample // as in /memory of the admin interface
	looked  time.Time        // at certificates
	live    bool
}

func newProcessPublisher(store *stats.Store) *processPublisher {
	p := &processPublisher{to: stats.Fill[processStats](store.Scope("server")), samples: []metrics.Sample{
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/total:bytes"},
		{Name: "/memory/classes/heap/released:bytes"},
	}}
	return p
}

func (p *processPublisher) publish(of *process, now time.Time) {
	metrics.Read(p.samples)
	n := func(i int) int64 { return int64(p.samples[i].Value.Uint64()) }
	p.to.Allocated.Set(n(0))
	p.to.Heap.Set(n(0) + n(1) + n(2))
	p.to.Physical.Set(n(3) - n(4))
	p.to.Connections.Set(int64(of.proxy.Connections()))
	if p.looked.IsZero() || now.Sub(p.looked) >= expiryEvery {
		p.looked = now
		p.to.FirstExpiry.Set(daysUntil(of.proxy.FirstExpiry(), now))
	}
	if took := of.state.took.Load(); took != 0 && !p.live {
		p.live = true
		p.to.InitializedMs.Record(uint64(time.Duration(took).Milliseconds()))
	}
}

// daysUntil counts whole days; 0 when they are over, and Envoy's number of those
// who have no certificate for the zero time.
func daysUntil(t, now time.Time) int64 {
	if t.IsZero() {
		return math.MaxUint32
	}
	return max(int64(t.Sub(now)/(24*time.Hour)), 0)
}
