package config_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/configtest"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/support"
)

// change is a random edit of a list: one item changed, added, removed, or two that change places.
func change[T proto.Message](r *rand.Rand, l []T, edit func(T), fresh func() T) []T {
	l = slices.Clone(l)
	if len(l) == 0 {
		return append(l, fresh())
	}
	i, j := r.IntN(len(l)), r.IntN(len(l))
	switch r.IntN(5) {
	case 0:
		l = slices.Insert(l, i, fresh())
	case 1:
		l = slices.Delete(l, i, i+1)
	case 2:
		l[i], l[j] = l[j], l[i]
	default:
		c := proto.Clone(l[i]).(T)
		edit(c)
		l[i] = c
	}
	return l
}

func randomRoute(r *rand.Rand) *routev3.Route {
	m := &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: fmt.Sprintf("/%x/", r.IntN(1e9))}}
	switch r.IntN(8) {
	case 0:
		m.PathSpecifier = &routev3.RouteMatch_Path{Path: fmt.Sprintf("/exact/%x", r.IntN(1e9))}
	case 1:
		m.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: uint32(r.IntN(100))}}
	case 2:
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: fmt.Sprintf("/re/%x/[a-z]+", r.IntN(1e9))}}
	}
	if r.IntN(6) == 0 {
		return &routev3.Route{Match: m, Action: &routev3.Route_Redirect{Redirect: &routev3.RedirectAction{
			PathRewriteSpecifier: &routev3.RedirectAction_PrefixRewrite{PrefixRewrite: fmt.Sprintf("/to/%x/", r.IntN(1e9))},
		}}}
	}
	return &routev3.Route{Match: m, Action: &routev3.Route_Route{Route: &routev3.RouteAction{
		ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: fmt.Sprintf("c%d", r.IntN(50))},
	}}}
}

func randomHost(r *rand.Rand, n int) *routev3.VirtualHost {
	name := fmt.Sprintf("%x", r.Uint64())
	v := &routev3.VirtualHost{Name: name, Domains: []string{name + ".test"}}
	for range n {
		v.Routes = append(v.Routes, randomRoute(r))
	}
	return v
}

func mustDecode(t *testing.T, d *config.Decoder, m proto.Message) *config.Resource {
	t.Helper()
	a := packed(t, m)
	r, err := d.Decode(a.GetTypeUrl(), a, false)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestAgainOfAssignments: likewise for endpoints.
func TestAgainOfAssignments(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	fresh := func() *endpointv3.LbEndpoint {
		return &endpointv3.LbEndpoint{
			LoadBalancingWeight: wrapperspb.UInt32(1 + r.Uint32N(9)),
			HostIdentifier: &endpointv3.LbEndpoint_Endpoint{Endpoint: &endpointv3.Endpoint{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
				SocketAddress: &corev3.SocketAddress{
					Address:       fmt.Sprintf("10.%d.%d.%d", r.IntN(256), r.IntN(256), r.IntN(256)),
					PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 80},
				},
			}}}},
		}
	}
	locality := func() *endpointv3.LocalityLbEndpoints {
		l := &endpointv3.LocalityLbEndpoints{LoadBalancingWeight: wrapperspb.UInt32(1 + r.Uint32N(9)), Priority: r.Uint32N(3)}
		for range 40 {
			l.LbEndpoints = append(l.LbEndpoints, fresh())
		}
		return l
	}
	p := &endpointv3.ClusterLoadAssignment{ClusterName: "a"}
	for range 6 {
		p.Endpoints = append(p.Endpoints, locality())
	}
	was := mustDecode(t, d, p)
	for range 100 {
		next := proto.Clone(p).(*endpointv3.ClusterLoadAssignment)
		if r.IntN(8) == 0 {
			next.Endpoints = change(r, next.Endpoints, func(l *endpointv3.LocalityLbEndpoints) { l.Priority = 1 }, locality)
		} else if len(next.Endpoints) > 0 {
			l := next.Endpoints[r.IntN(len(next.Endpoints))]
			l.LbEndpoints = change(r, l.LbEndpoints, func(e *endpointv3.LbEndpoint) { e.HealthStatus = corev3.HealthStatus_DRAINING }, fresh)
		}
		a := packed(t, next)
		got, err := d.Again(config.AssignmentURL, a, was)
		if err != nil {
			t.Fatal(err)
		}
		want, err := d.Decode(config.AssignmentURL, a, false)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.Value, got.Value, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Fatalf("-decoded +made out of the one before:\n%s", diff)
		}
		p, was = next, got
	}
}

// TestAgainTellsMistakes: what is wrong in the part that changed is told with its place in the whole.
func TestAgainTellsMistakes(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	rc := &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{randomHost(r, 50), randomHost(r, 50)}}
	was := mustDecode(t, d, rc)
	for name, spoil := range map[string]func(*routev3.RouteConfiguration){
		"a route": func(m *routev3.RouteConfiguration) { m.VirtualHosts[1].Routes[30].Match = nil },
		"a constraint": func(m *routev3.RouteConfiguration) {
			m.VirtualHosts[1].Routes[30].Action.(*routev3.Route_Route).Route.RequestMirrorPolicies = []*routev3.RouteAction_RequestMirrorPolicy{{}}
		},
		"a domain twice": func(m *routev3.RouteConfiguration) { m.VirtualHosts[1].Domains = m.VirtualHosts[0].Domains },
		"a field": func(m *routev3.RouteConfiguration) {
			m.VirtualHosts[1].Matcher = nil
			m.VirtualHosts[0].Routes[3].Tracing = &routev3.Tracing{}
		},
		"a different name":  func(m *routev3.RouteConfiguration) { m.Name = "other" },
		"an unnamed host":   func(m *routev3.RouteConfiguration) { m.VirtualHosts[0].Name = "" },
		"no domains at all": func(m *routev3.RouteConfiguration) { m.VirtualHosts[1].Domains = nil },
	} {
		t.Run(name, func(t *testing.T) {
			next := proto.Clone(rc).(*routev3.RouteConfiguration)
			next.VirtualHosts[1].Routes[30] = &routev3.Route{
				Match:  &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/p"}},
				Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "c"}}},
			}
			spoil(next)
			a := packed(t, next)
			got, err := d.Again(config.RouteURL, a, was)
			want, wantErr := d.Decode(config.RouteURL, a, false)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Errorf("error %v, want %v", err, wantErr)
			}
			if (got == nil) != (want == nil) || want != nil && !slices.Equal(got.Degraded, want.Degraded) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// TestAgainReadsWhatChanged counts: of 2,000 routes one is decoded, in time and memory that do not depend on the others.
func TestAgainReadsWhatChanged(t *testing.T) {
	d := &config.Decoder{Registry: configtest.Registry(), Mode: support.Degrade}
	r := rand.New(rand.NewPCG(7, 8))
	host := &routev3.VirtualHost{Name: "v", Domains: []string{"*"}}
	for i := range 2_000 {
		rt := randomRoute(r)
		rt.Match = &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: fmt.Sprintf("/%05d/", i)}}
		host.Routes = append(host.Routes, rt)
	}
	rc := &routev3.RouteConfiguration{Name: "r", VirtualHosts: []*routev3.VirtualHost{host}}
	was := mustDecode(t, d, rc)
	host.Routes[1000].Name = "changed"
	a := packed(t, rc)
	var again *config.Resource
	allocs := testing.AllocsPerRun(1, func() {
		var err error
		if again, err = d.Again(config.RouteURL, a, was); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > 1000 {
		t.Errorf("%v allocations for one route of 2,000 that changed", allocs)
	}
	old, now := was.Value.(*route.Table).VirtualHosts[0], again.Value.(*route.Table).VirtualHosts[0]
	for i, rt := range now.Routes {
		if (rt == old.Routes[i]) != (i != 1000) {
			t.Fatalf("route %d: taken over is %v", i, rt == old.Routes[i])
		}
	}
	if now.Routes[1000].Name != "changed" || now.Routes[1000].VirtualHost != now.Routes[0].VirtualHost {
		t.Error("the changed route is not right")
	}
}
