package route

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
)

// TestAgainIsDecode: whatever changed, a table made out of another is the one that is made from scratch.
func TestAgainIsDecode(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rc := &routev3.RouteConfiguration{Name: "r"}
	for range 8 {
		rc.VirtualHosts = append(rc.VirtualHosts, randomHost(r, 12))
	}
	was, raw := decoded(t, rc)
	taken := 0
	for range 150 {
		next := proto.Clone(rc).(*routev3.RouteConfiguration)
		switch r.IntN(12) {
		case 0:
			next.VirtualHosts = change(r, next.VirtualHosts, func(v *routev3.VirtualHost) {
				v.IncludeRequestAttemptCount = !v.IncludeRequestAttemptCount
			}, func() *routev3.VirtualHost { return randomHost(r, 3) })
		case 1:
			next.MostSpecificHeaderMutationsWins = !next.MostSpecificHeaderMutationsWins
		case 2:
			v := next.VirtualHosts[r.IntN(len(next.VirtualHosts))]
			v.Domains = append(v.Domains, fmt.Sprintf("%x.test", r.Uint64()))
		default:
			for range 1 + r.IntN(3) {
				v := next.VirtualHosts[r.IntN(len(next.VirtualHosts))]
				v.Routes = change(r, v.Routes, func(x *routev3.Route) { proto.Reset(x); proto.Merge(x, randomRoute(r)) },
					func() *routev3.Route { return randomRoute(r) })
			}
		}
		want, now := decoded(t, next)
		got, ok := Again(was, raw, now, extension.NewContext(testRegistry(), "r"), func(*routev3.RouteConfiguration) bool { return true })
		if !ok {
			got = want
		}
		if diff := cmp.Diff(want.written(), got.written()); diff != "" {
			t.Fatalf("-decoded +made out of the one before:\n%s", diff)
		}
		if ok {
			taken++
		}
		rc, was, raw = next, got, now
	}
	if taken < 100 {
		t.Errorf("of 150 changes only %d took over what did not change", taken)
	}
}

func decoded(t *testing.T, rc *routev3.RouteConfiguration) (*Table, []byte) {
	t.Helper()
	b, err := proto.Marshal(rc)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Decode(rc, extension.NewContext(testRegistry(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	return out, b
}

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

// written puts the whole table down, its indexes too, so that two of them can be compared.
func (t *Table) written() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q internal %v specific %v ignore_port %v validate %v %v\nlints %q\nclusters %q\n", t.Name, t.InternalOnlyHeaders,
		t.MostSpecificWins, t.IgnorePort, t.ValidateClusters, t.ValidateClustersSet, t.Lints, t.Clusters())
	for _, x := range []struct {
		what string
		m    map[string]*VirtualHost
	}{{"exact", t.exact}, {"suffix", t.suffix.m}, {"prefix", t.prefix.m}} {
		for _, k := range slices.Sorted(maps.Keys(x.m)) {
			fmt.Fprintf(&b, "%s %q: host %d, the one of the list %v\n", x.what, k, x.m[k].Index, t.VirtualHosts[x.m[k].Index] == x.m[k])
		}
	}
	for i, vh := range t.VirtualHosts {
		fmt.Fprintf(&b, "host %d %+v %v\n", i, *vh.HostSettings, vh == t.any)
		for k, rt := range append(slices.Clone(vh.Routes), vh.toTLS) {
			rt.describe(&b, k, vh)
		}
		for _, k := range slices.Sorted(maps.Keys(vh.index.exact)) {
			fmt.Fprintf(&b, "  exact %q %v\n", k, vh.index.exact[k])
		}
		for _, n := range []*node{vh.index.tree, vh.index.fold, vh.index.regex} {
			n.describe(&b, "  ")
		}
	}
	return b.String()
}

func (rt *Route) describe(b *strings.Builder, at int, vh *VirtualHost) {
	fmt.Fprintf(b, "  route %d: %q %d, of the host %v; %s bare %v grpc %v fraction %+v headers %d\n", at, rt.Name, rt.Index,
		rt.VirtualHost == vh.HostSettings, rt.criteria.describe(), rt.criteria.bare, rt.criteria.grpc, rt.criteria.fraction, len(rt.criteria.headers))
	if rt.Forward != nil {
		fmt.Fprintf(b, "    %+v\n", *rt.Forward)
	}
	if r := rt.Redirect; r != nil {
		own := *r
		own.criteria = nil
		fmt.Fprintf(b, "    %+v, its own criteria %v\n", own, r.criteria == nil || r.criteria == &rt.criteria)
	}
	if rt.Direct != nil {
		fmt.Fprintf(b, "    %+v\n", *rt.Direct)
	}
}

func (n *node) describe(b *strings.Builder, indent string) {
	if n == nil {
		return
	}
	fmt.Fprintf(b, "%s%q %v %v %v %v\n", indent, n.label, n.prefix, n.separated, n.exact, n.regex)
	for _, k := range n.kids {
		k.describe(b, indent+" ")
	}
}
