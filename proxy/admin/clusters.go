package admin

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/proxy/upstream/breaker"
)

// clusters shows the clusters, their limits and every host's numbers.
func (s *Server) clusters(p *reply, _ *http.Request, q url.Values) {
	keep, err := regexp.Compile(q.Get("filter"))
	if err != nil {
		p.text(http.StatusBadRequest, "Invalid re2 regex") // Envoy's words
		return
	}
	var all []*upstream.Cluster
	for _, c := range s.o.Proxy.Clusters().Clusters() {
		if keep.MatchString(c.Name()) {
			all = append(all, c)
		}
	}
	snapshot := s.o.Proxy.Snapshot()
	dynamic := func(c *upstream.Cluster) bool {
		r := snapshot.Clusters[c.Name()]
		return r != nil && !r.Static
	}
	if q.Get("format") == "json" {
		m := &adminv3.Clusters{}
		for _, c := range all {
			m.ClusterStatuses = append(m.ClusterStatuses, clusterStatus(c, dynamic(c)))
		}
		p.message(m, false)
		return
	}
	var b strings.Builder
	for _, c := range all {
		writeCluster(&b, c, dynamic(c))
	}
	p.text(http.StatusOK, b.String())
}

// writeCluster prints a cluster in Envoy's lines, with lines of ours after the
// ones that Envoy has.
func writeCluster(b *strings.Builder, c *upstream.Cluster, dynamic bool) {
	cfg := c.Config()
	line := func(format string, args ...any) {
		b.WriteString(c.Name() + "::")
		fmt.Fprintf(b, format+"\n", args...)
	}
	line("observability_name::%s", cfg.StatName)
	if cfg.Outlier != nil {
		// Success rates are not computed: Envoy prints -1 while it has none.
		for _, n := range [...]string{
			"success_rate_average", "success_rate_ejection_threshold",
			"local_origin_success_rate_average", "local_origin_success_rate_ejection_threshold",
		} {
			line("outlier::%s::-1", n)
		}
	}
	for _, pr := range [...]struct {
		name string
		t    *cluster.Thresholds
	}{{"default_priority", &cfg.Default}, {"high_priority", &cfg.High}} {
		line("%s::max_connections::%d", pr.name, pr.t.MaxConnections)
		line("%s::max_pending_requests::%d", pr.name, pr.t.MaxPending)
		line("%s::max_requests::%d", pr.name, pr.t.MaxRequests)
		line("%s::max_retries::%d", pr.name, pr.t.MaxRetries)
	}
	line("added_via_api::%t", dynamic)
	if cfg.Type == cluster.EDS && cfg.EDSName != cfg.Name {
		line("eds_service_name::%s", cfg.EDSName)
	}
	for i, panicking := range c.Panicking() {
		if panicking {
			line("priority_%d::panicking::true", i)
		}
	}
	for _, h := range c.Hosts() {
		for _, m := range hostStats(&h) {
			line("%s::%s::%d", h.Name, m.name, m.value)
		}
		line("%s::hostname::%s", h.Name, h.Hostname)
		line("%s::health_flags::%s", h.Name, healthFlags(&h))
		line("%s::weight::%d", h.Name, h.Weight)
		line("%s::region::%s", h.Name, h.Region)
		line("%s::zone::%s", h.Name, h.Zone)
		line("%s::sub_zone::%s", h.Name, h.Sub)
		line("%s::canary::false", h.Name)
		line("%s::priority::%d", h.Name, h.Priority)
		line("%s::success_rate::-1", h.Name)
		line("%s::local_origin_success_rate::-1", h.Name)
		if h.Ejected {
			line("%s::ejected_for_ms::%d", h.Name, h.EjectedFor.Milliseconds())
		}
		if h.Guarded {
			line("%s::circuit_breaker::%s", h.Name, breakerState(h.Breaker))
		}
	}
}

// metric is a number of a host.
type metric struct {
	name  string
	value uint64
	gauge bool
}

// hostStats are a host's numbers, sorted by name as in Envoy's text.
func hostStats(h *upstream.HostInfo) []metric {
	return []metric{
		{"cx_active", uint64(max(h.CxActive, 0)), true},
		{"cx_connect_fail", h.CxConnectFail, false},
		{"cx_total", h.CxTotal, false},
		{"rq_active", uint64(max(h.RqActive, 0)), true},
		{"rq_error", h.RqError, false},
		{"rq_pending_active", 0, true}, // requests wait for a cluster's connections, not for a host's
		{"rq_success", h.RqSuccess, false},
		{"rq_timeout", h.RqTimeout, false},
		{"rq_total", h.RqTotal, false},
	}
}

// healthFlags is why a host is not used, in Envoy 1.40's words.
func healthFlags(h *upstream.HostInfo) string {
	s := ""
	add := func(set bool, flag string) {
		if set {
			s += flag
		}
	}
	add(h.Checks.Failed, "/failed_active_hc")
	add(h.Ejected, "/failed_outlier_check")
	switch h.Health {
	case cluster.Unhealthy, cluster.Timeout:
		s += "/failed_eds_health"
	}
	add(h.Checks.Degraded, "/degraded_active_hc")
	add(h.Health == cluster.Degraded, "/degraded_eds_health")
	add(h.Checks.Leaving, "/pending_dynamic_removal")
	add(h.Checks.Pending, "/pending_active_hc")
	add(h.Checks.TimedOut, "/active_hc_timeout")
	add(h.Health == cluster.Draining, "/eds_status_draining")
	if s == "" {
		return "healthy"
	}
	return s
}

func breakerState(st breaker.State) string {
	switch st {
	case breaker.Open:
		return "open"
	case breaker.HalfOpen:
		return "half_open"
	}
	return "closed"
}

// clusterStatus is a cluster as a message.
func clusterStatus(c *upstream.Cluster, dynamic bool) *adminv3.ClusterStatus {
	cfg := c.Config()
	m := &adminv3.ClusterStatus{
		Name: c.Name(), AddedViaApi: dynamic, ObservabilityName: cfg.StatName,
		CircuitBreakers: &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{
			thresholds(corev3.RoutingPriority_DEFAULT, &cfg.Default), thresholds(corev3.RoutingPriority_HIGH, &cfg.High),
		}},
	}
	if cfg.Type == cluster.EDS && cfg.EDSName != cfg.Name {
		m.EdsServiceName = cfg.EDSName
	}
	for _, h := range c.Hosts() {
		m.HostStatuses = append(m.HostStatuses, hostStatus(&h))
	}
	return m
}

func thresholds(p corev3.RoutingPriority, t *cluster.Thresholds) *clusterv3.CircuitBreakers_Thresholds {
	return &clusterv3.CircuitBreakers_Thresholds{
		Priority: p, MaxConnections: wrapperspb.UInt32(t.MaxConnections), MaxPendingRequests: wrapperspb.UInt32(t.MaxPending),
		MaxRequests: wrapperspb.UInt32(t.MaxRequests), MaxRetries: wrapperspb.UInt32(t.MaxRetries),
	}
}

func hostStatus(h *upstream.HostInfo) *adminv3.HostStatus {
	m := &adminv3.HostStatus{
		Weight: h.Weight, Hostname: h.Hostname, Priority: h.Priority,
		Locality: &corev3.Locality{Region: h.Region, Zone: h.Zone, SubZone: h.Sub},
		HealthStatus: &adminv3.HostHealthStatus{
			EdsHealthStatus: edsHealth(h.Health), FailedOutlierCheck: h.Ejected,
			FailedActiveHealthCheck: h.Checks.Failed, FailedActiveDegradedCheck: h.Checks.Degraded, PendingActiveHc: h.Checks.Pending,
			ActiveHcTimeout: h.Checks.TimedOut, PendingDynamicRemoval: h.Checks.Leaving,
		},
	}
	if h.Addr.IsValid() {
		m.Address = socketAddress(h.Addr)
	} else {
		m.Address = &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: h.Name}}}
	}
	for _, gauges := range [...]bool{false, true} { // counters come first
		for _, st := range hostStats(h) {
			if st.gauge == gauges {
				sm := &adminv3.SimpleMetric{Name: st.name, Value: st.value}
				if gauges {
					sm.Type = adminv3.SimpleMetric_GAUGE
				}
				m.Stats = append(m.Stats, sm)
			}
		}
	}
	return m
}

// edsHealth is the control plane's word; a host of which it said nothing counts
// as healthy, and Envoy prints it so.
func edsHealth(h cluster.Health) corev3.HealthStatus {
	switch h {
	case cluster.Degraded:
		return corev3.HealthStatus_DEGRADED
	case cluster.Unhealthy:
		return corev3.HealthStatus_UNHEALTHY
	case cluster.Draining:
		return corev3.HealthStatus_DRAINING
	case cluster.Timeout:
		return corev3.HealthStatus_TIMEOUT
	}
	return corev3.HealthStatus_HEALTHY
}
