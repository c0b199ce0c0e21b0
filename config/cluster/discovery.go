package cluster

import (
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	dnsclusterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/durationpb"
)

// AssignmentURL is the type URL of ClusterLoadAssignment, the resource that an EDS cluster requires.
const AssignmentURL = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment"

const (
	dnsClusterURL     = "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster"
	defaultDNSRefresh = 5 * time.Second
	originalDstHeader = "x-envoy-original-dst-host"
	dnsFailurePath    = "dns_failure_refresh_rate"
)

// String gives Envoy's name of the type.
func (t DiscoveryType) String() string {
	switch t {
	case StrictDNS:
		return "STRICT_DNS"
	case LogicalDNS:
		return "LOGICAL_DNS"
	case EDS:
		return "EDS"
	case OriginalDestination:
		return "ORIGINAL_DST"
	}
	return "STATIC"
}

// decodeDiscovery reads how the cluster finds its hosts: type or cluster_type, and what belongs to it.
func decodeDiscovery(l *fielderr.List, d *Cluster, p *clusterv3.Cluster, ctx *extension.Context) {
	dnsAt := ""
	if t := p.GetClusterType(); t != nil {
		dnsAt = "cluster_type.typed_config."
		if !decodeClusterType(l, d, t) {
			return
		}
	} else {
		switch p.GetType() {
		case clusterv3.Cluster_STATIC:
		case clusterv3.Cluster_STRICT_DNS:
			d.Type = StrictDNS
		case clusterv3.Cluster_LOGICAL_DNS:
			d.Type = LogicalDNS
		case clusterv3.Cluster_EDS:
			d.Type = EDS
		case clusterv3.Cluster_ORIGINAL_DST:
			d.Type = OriginalDestination
		default:
			l.Addf("type", "unknown value %d", p.GetType())
			return
		}
	}
	if dnsAt == "" && (d.Type == StrictDNS || d.Type == LogicalDNS) {
		decodeLegacyDNS(l, d, p)
	}
	decodeEDS(l, d, p, ctx)
	decodeOriginalDst(l, d, p)

	switch a := p.GetLoadAssignment(); d.Type {
	case Static, StrictDNS, LogicalDNS:
		names := d.Type != Static
		d.Assignment = decodeAssignment(l, "load_assignment", a, names)
		if n := len(d.Assignment.Localities); d.Type == LogicalDNS && (n != 1 || len(d.Assignment.Localities[0].Endpoints) != 1) {
			l.Addf("load_assignment.endpoints", "a LOGICAL_DNS cluster has one locality with one endpoint")
		}
	default:
		if a != nil {
			l.Addf("load_assignment", "a cluster of type %s has none", d.Type)
		}
	}
}

// decodeClusterType reads cluster_type, of which there is envoy.clusters.dns. It says whether the type is known.
func decodeClusterType(l *fielderr.List, d *Cluster, t *clusterv3.Cluster_CustomClusterType) bool {
	const at = "cluster_type.typed_config"
	if u := t.GetTypedConfig().GetTypeUrl(); u != dnsClusterURL {
		l.Addf("cluster_type", "%q with type %q is not supported (supported: envoy.clusters.dns)", t.GetName(), u)
		return false
	}
	var c dnsclusterv3.DnsCluster
	if err := t.GetTypedConfig().UnmarshalTo(&c); err != nil {
		l.Addf(at, "malformed")
		return false
	}
	d.Type = StrictDNS
	if c.GetAllAddressesInSingleEndpoint() {
		d.Type = LogicalDNS
	}
	d.DNS.RespectTTL = c.GetRespectDnsTtl()
	// The enum is the cluster's with UNSPECIFIED in front.
	family := clusterv3.Cluster_DnsLookupFamily(max(0, c.GetDnsLookupFamily()-1))
	d.DNS.Family = lookupFamily(l, at+".dns_lookup_family", family)
	var base, ceiling *durationpb.Duration
	if f := c.GetDnsFailureRefreshRate(); f != nil {
		base, ceiling = f.GetBaseInterval(), f.GetMaxInterval()
	}
	refresh(l, at+".", d, c.GetDnsRefreshRate(), base, ceiling)
	return true
}

func decodeLegacyDNS(l *fielderr.List, d *Cluster, p *clusterv3.Cluster) {
	d.DNS.RespectTTL = p.GetRespectDnsTtl()
	d.DNS.Family = lookupFamily(l, "dns_lookup_family", p.GetDnsLookupFamily())
	var base, ceiling *durationpb.Duration
	if f := p.GetDnsFailureRefreshRate(); f != nil {
		base, ceiling = f.GetBaseInterval(), f.GetMaxInterval()
	}
	refresh(l, "", d, p.GetDnsRefreshRate(), base, ceiling)
}

// refresh reads the intervals between queries. After failures they double from the base to the ceiling, by default ten times the
// base (Envoy: DnsFailureRefreshRate).
func refresh(l *fielderr.List, at string, d *Cluster, rate, base, ceiling *durationpb.Duration) {
	d.DNS.Refresh = l.PositiveDuration(at+"dns_refresh_rate", rate, defaultDNSRefresh)
	d.DNS.FailureRefresh = l.PositiveDuration(at+dnsFailurePath+".base_interval", base, d.DNS.Refresh)
	d.DNS.FailureRefreshMax = d.DNS.FailureRefresh
	if base != nil {
		d.DNS.FailureRefreshMax = l.PositiveDuration(at+dnsFailurePath+".max_interval", ceiling, 10*d.DNS.FailureRefresh)
		if d.DNS.FailureRefreshMax < d.DNS.FailureRefresh {
			l.Addf(at+dnsFailurePath+".max_interval", "below base_interval")
		}
	}
}

func lookupFamily(l *fielderr.List, path string, f clusterv3.Cluster_DnsLookupFamily) DNSFamily {
	switch f {
	case clusterv3.Cluster_AUTO:
		return FamilyAuto
	case clusterv3.Cluster_V4_ONLY:
		return V4Only
	case clusterv3.Cluster_V6_ONLY:
		return V6Only
	case clusterv3.Cluster_V4_PREFERRED:
		return V4Preferred
	case clusterv3.Cluster_ALL:
		return All
	}
	l.Addf(path, "unknown value %d", f)
	return FamilyAuto
}

func decodeEDS(l *fielderr.List, d *Cluster, p *clusterv3.Cluster, ctx *extension.Context) {
	e := p.GetEdsClusterConfig()
	switch {
	case d.Type != EDS && e != nil:
		l.Addf("eds_cluster_config", "set on a cluster of type %s", d.Type)
		return
	case d.Type != EDS:
		return
	case e == nil:
		l.Addf("eds_cluster_config", "unset on a cluster of type EDS")
		return
	}
	if d.EDSName = e.GetServiceName(); d.EDSName == "" {
		d.EDSName = d.Name
	}
	src := core.DecodeSource(l, "eds_cluster_config.eds_config", e.GetEdsConfig())
	if key := ctx.RequireFrom(AssignmentURL, d.EDSName, src); key != d.EDSName {
		d.EDSKey = key
	}
}

func decodeOriginalDst(l *fielderr.List, d *Cluster, p *clusterv3.Cluster) {
	const at = "original_dst_lb_config"
	c := p.GetOriginalDstLbConfig()
	if c != nil && d.Type != OriginalDestination {
		l.Addf(at, "set on a cluster of type %s", d.Type)
	}
	if d.Type != OriginalDestination {
		return
	}
	d.Original = OriginalDst{UseHeader: c.GetUseHttpHeader(), HeaderName: c.GetHttpHeaderName()}
	switch {
	case d.Original.HeaderName == "":
		d.Original.HeaderName = originalDstHeader
	case !d.Original.UseHeader:
		l.Addf(at+".http_header_name", "set without use_http_header")
	}
	if c.GetMetadataKey() != nil {
		l.Addf(at+".metadata_key", "not supported")
	}
	if v := c.GetUpstreamPortOverride().GetValue(); v > 65535 {
		l.Addf(at+".upstream_port_override", "%d is not a port", v)
	} else {
		d.Original.PortOverride = uint16(v)
	}
}
