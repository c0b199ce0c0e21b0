package cluster

import (
	"math"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/fielderr"
)

const (
	defaultOverprovisioning = 140 // percent
	maxPriority             = 128 // envoy/config/endpoint/v3/endpoint_components.proto
)

// DecodeAssignment compiles a ClusterLoadAssignment as EDS brings it: its endpoints have IP addresses. The error, if any, holds
// every mistake, each with its field path.
func DecodeAssignment(p *endpointv3.ClusterLoadAssignment) (*Assignment, error) {
	var l fielderr.List
	d := decodeAssignment(&l, "", p, false)
	if d.Cluster == "" {
		l.Addf("cluster_name", "empty")
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return d, nil
}

// decodeAssignment compiles an assignment; nil is one without endpoints. names says whether DNS names may stand for addresses.
func decodeAssignment(l *fielderr.List, at string, p *endpointv3.ClusterLoadAssignment, names bool) *Assignment {
	d := &Assignment{
		Cluster:          p.GetClusterName(),
		Overprovisioning: fielderr.Uint32(p.GetPolicy().GetOverprovisioningFactor(), defaultOverprovisioning),
		DropPercent:      decodeDrops(l, fielderr.Join(at, "policy.drop_overloads"), p.GetPolicy().GetDropOverloads()),
	}
	if d.Overprovisioning == 0 {
		l.Addf(fielderr.Join(at, "policy.overprovisioning_factor"), "zero")
	}
	if len(p.GetNamedEndpoints()) > 0 {
		l.Addf(fielderr.Join(at, "named_endpoints"), "not supported")
	}
	var w weights
	for i, q := range p.GetEndpoints() {
		path := fielderr.Index(fielderr.Join(at, "endpoints"), i)
		loc := decodeLocality(l, path, q, names)
		if loc.Priority > maxPriority {
			l.Addf(path+".priority", "%d is above %d", loc.Priority, maxPriority)
			continue
		}
		w.add(l, path, &loc)
		d.Localities = append(d.Localities, loc)
	}
	return d
}

// weights adds up those of the localities of each priority.
type weights [maxPriority + 1]uint64

// add refuses more weight in a priority than Envoy counts.
func (w *weights) add(l *fielderr.List, path string, loc *Locality) {
	before := w[loc.Priority]
	w[loc.Priority] += uint64(loc.Weight)
	if before <= math.MaxUint32 && w[loc.Priority] > math.MaxUint32 {
		l.Addf(path+".load_balancing_weight", "the localities of priority %d weigh more than %d together", loc.Priority, uint32(math.MaxUint32))
	}
}

func decodeLocality(l *fielderr.List, at string, p *endpointv3.LocalityLbEndpoints, names bool) Locality {
	d := Locality{
		Region: p.GetLocality().GetRegion(), Zone: p.GetLocality().GetZone(), SubZone: p.GetLocality().GetSubZone(),
		Priority: p.GetPriority(),
		Weight:   p.GetLoadBalancingWeight().GetValue(),
		Labels:   metadataLabels(l, at, p.GetMetadata()),
	}
	if p.GetLoadBalancingWeight() != nil && d.Weight == 0 {
		l.Addf(at+".load_balancing_weight", "zero (leave the locality out instead)")
	}
	if p.GetLbConfig() != nil {
		if p.GetLedsClusterLocalityConfig() != nil {
			l.Addf(at+".leds_cluster_locality_config", "not supported")
		} else {
			l.Addf(at+".load_balancer_endpoints", "not supported, lb_endpoints is")
		}
	}
	if n := len(p.GetLbEndpoints()); n > 0 {
		d.Endpoints = make([]*Endpoint, 0, n)
	}
	var room []Endpoint
	for i, e := range p.GetLbEndpoints() {
		if len(room) == 0 {
			room = make([]Endpoint, min(together, len(p.GetLbEndpoints())-i))
		}
		h := &room[0]
		room = room[1:]
		var wrong fielderr.List // relative, so that the many right ones need no paths
		*h = decodeEndpoint(&wrong, e, names)
		if err := wrong.Err(); err != nil {
			l.Add(fielderr.Index(at+".lb_endpoints", i), err)
		}
		d.Endpoints = append(d.Endpoints, h)
	}
	weighEndpoints(l, at, d.Endpoints)
	return d
}

// together is how many endpoints share an allocation: few, for one that outlives the others keeps them all.
const together = 32

// weighEndpoints refuses more weight in a locality than Envoy counts.
func weighEndpoints(l *fielderr.List, at string, all []*Endpoint) {
	total := uint64(0)
	for i := range all {
		total += uint64(all[i].Weight)
	}
	if total > math.MaxUint32 {
		l.Addf(at+".lb_endpoints", "the endpoints weigh %d together, more than %d", total, uint32(math.MaxUint32))
	}
}

func decodeEndpoint(l *fielderr.List, p *endpointv3.LbEndpoint, names bool) Endpoint {
	e := p.GetEndpoint()
	if e == nil {
		if p.GetEndpointName() != "" {
			l.Addf("endpoint_name", "not supported, endpoint is")
		} else {
			l.Addf("endpoint", "unset")
		}
		return Endpoint{}
	}
	a, ok := core.DecodeAddress(l, "endpoint.address", e.GetAddress())
	if !ok {
		return Endpoint{}
	}
	if a.Name != "" && !names {
		l.Addf("endpoint.address.socket_address.address", "%q is not an IP address (names need a cluster of type STRICT_DNS or LOGICAL_DNS)", a.Name)
		return Endpoint{}
	}
	d := Endpoint{
		Addr: a.Addr, Name: a.Name, Port: a.Port, Pipe: a.Pipe,
		Hostname: e.GetHostname(),
		Weight:   fielderr.Uint32(p.GetLoadBalancingWeight(), 1),
		Labels:   metadataLabels(l, "", p.GetMetadata()),
		Check:    endpointCheck(l, "endpoint.health_check_config", e.GetHealthCheckConfig()),
	}
	if d.Weight == 0 {
		l.Addf("load_balancing_weight", "zero (leave the endpoint out instead)")
	}
	switch p.GetHealthStatus() {
	case corev3.HealthStatus_UNKNOWN:
		d.Health = HealthUnknown
	case corev3.HealthStatus_HEALTHY:
		d.Health = Healthy
	case corev3.HealthStatus_DEGRADED:
		d.Health = Degraded
	case corev3.HealthStatus_UNHEALTHY:
		d.Health = Unhealthy
	case corev3.HealthStatus_DRAINING:
		d.Health = Draining
	case corev3.HealthStatus_TIMEOUT:
		d.Health = Timeout
	default:
		l.Addf("health_status", "unknown value %d", p.GetHealthStatus())
	}
	return d
}

// decodeDrops combines the categories, each of which drops its share of what the others let through.
func decodeDrops(l *fielderr.List, at string, drops []*endpointv3.ClusterLoadAssignment_Policy_DropOverload) float64 {
	dropped := 0.0
	for i, o := range drops {
		path := fielderr.Index(at, i) + ".drop_percentage"
		of := 0.0
		switch o.GetDropPercentage().GetDenominator() {
		case typev3.FractionalPercent_HUNDRED:
			of = 100
		case typev3.FractionalPercent_TEN_THOUSAND:
			of = 1e4
		case typev3.FractionalPercent_MILLION:
			of = 1e6
		default:
			l.Addf(path+".denominator", "unknown value %d", o.GetDropPercentage().GetDenominator())
			continue
		}
		n := float64(o.GetDropPercentage().GetNumerator())
		if n > of {
			l.Addf(path+".numerator", "%v is more than %v", n, of)
			continue
		}
		dropped += (100 - dropped) * n / of
	}
	return dropped
}
