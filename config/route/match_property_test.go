package route

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// dice makes random tables and requests from few words, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) oneOf(l ...string) string { return l[d.IntN(len(l))] }

func (d dice) path() string {
	s := ""
	for range d.IntN(4) {
		s += "/" + d.oneOf("a", "b", "ab", "A", "aB", "")
	}
	if s == "" {
		return "/"
	}
	return s
}

func (d dice) routeMatch() *routev3.RouteMatch {
	m := &routev3.RouteMatch{}
	switch d.IntN(8) {
	case 0, 1, 2:
		m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: d.path()}
	case 3, 4:
		m.PathSpecifier = &routev3.RouteMatch_Path{Path: d.path()}
	case 5:
		m.PathSpecifier = &routev3.RouteMatch_PathSeparatedPrefix{PathSeparatedPrefix: strings.TrimRight(d.path(), "/") + "/a"}
	case 6:
		m.PathSpecifier = &routev3.RouteMatch_SafeRegex{SafeRegex: &matcherv3.RegexMatcher{Regex: d.path() + d.oneOf("", ".*", ".+", "[ab]?", "(a|b)")}}
	case 7:
		m.PathSpecifier = &routev3.RouteMatch_Prefix{Prefix: ""}
	}
	if d.IntN(3) == 0 {
		m.CaseSensitive = wrapperspb.Bool(d.IntN(2) == 0)
	}
	if d.IntN(3) == 0 || d.IntN(8) == 7 {
		m.Headers = append(m.Headers, &routev3.HeaderMatcher{
			Name: d.oneOf("x", "y"), InvertMatch: d.IntN(4) == 0,
			HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true},
		})
	}
	if d.IntN(5) == 0 {
		m.RuntimeFraction = &corev3.RuntimeFractionalPercent{DefaultValue: &typev3.FractionalPercent{Numerator: uint32(d.IntN(101))}}
	}
	return m
}

func (d dice) table() *routev3.RouteConfiguration {
	v := &routev3.VirtualHost{Name: "v", Domains: []string{"*"}}
	for range 1 + d.IntN(25) {
		v.Routes = append(v.Routes, &routev3.Route{
			Match:  d.routeMatch(),
			Action: &routev3.Route_Route{Route: &routev3.RouteAction{ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: "c"}}},
		})
	}
	return &routev3.RouteConfiguration{Name: "t", VirtualHosts: []*routev3.VirtualHost{v}}
}

func (d dice) request() *Request {
	h := &header.Headers{}
	for _, n := range []string{"x", "y"} {
		if d.IntN(2) == 0 {
			h.AddString(header.Intern(n), "1")
		}
	}
	p := d.path()
	if d.IntN(4) == 0 {
		p += d.oneOf("?", "?a=/b", "#a")
	}
	return &Request{Authority: []byte("h"), Path: []byte(p), Method: []byte("GET"), Headers: h, Rand: d.Uint64()}
}

// wants says what Envoy's documentation of RouteMatch says, with none of this
// package's code but for the draw.
func wants(m *routev3.RouteMatch, use string, r *Request) bool {
	path := regexp.MustCompile(`[?#].*`).ReplaceAllString(string(r.Path), "")
	fold := func(s string) string {
		if m.CaseSensitive != nil && !m.CaseSensitive.Value {
			return strings.ToLower(s)
		}
		return s
	}
	low := fold(path)
	ok := false
	switch p := m.PathSpecifier.(type) {
	case *routev3.RouteMatch_Prefix:
		ok = strings.HasPrefix(low, fold(p.Prefix))
	case *routev3.RouteMatch_Path:
		ok = low == fold(p.Path)
	case *routev3.RouteMatch_PathSeparatedPrefix:
		ok = low == fold(p.PathSeparatedPrefix) || strings.HasPrefix(low, fold(p.PathSeparatedPrefix)+"/")
	case *routev3.RouteMatch_SafeRegex:
		ok = regexp.MustCompile(`\A(?:` + p.SafeRegex.Regex + `)\z`).MatchString(path)
	}
	for _, h := range m.Headers {
		ok = ok && r.Headers.Has(header.Intern(h.Name)) != h.InvertMatch
	}
	if m.RuntimeFraction != nil {
		f, err := match.NewRuntimeFraction(m.RuntimeFraction, use, nil)
		ok = ok && err == nil && f.Hit(r.Rand)
	}
	return ok
}

// checkTable compares the index, the traced way and the reference.
func checkTable(t *testing.T, rc *routev3.RouteConfiguration, reqs []*Request) {
	t.Helper()
	table, err := Decode(rc, nil)
	if err != nil {
		t.Fatal(err)
	}
	reached := map[int]bool{}
	for _, r := range reqs {
		want := -1
		for i, rt := range rc.VirtualHosts[0].Routes {
			if wants(rt.Match, fmt.Sprintf("t/v[%d]", i), r) {
				want = i
				break
			}
		}
		reached[want] = true
		for _, tr := range []*match.Trace{nil, {}} {
			got := -1
			if rt := table.Match(r, tr); rt != nil {
				got = rt.Index
			}
			if got != want {
				t.Fatalf("%s: route %d, want %d (traced: %v)\n%v", r.Path, got, want, tr != nil, rc)
			}
		}
	}
	for i, rt := range table.VirtualHosts[0].Routes {
		if by := table.VirtualHosts[0].index.shadow(table.VirtualHosts[0].Routes, &rt.criteria, i); by < i && reached[i] {
			t.Fatalf("route %d is said to be taken by %d and was reached\n%v", i, by, rc)
		}
	}
}

func TestIndexKeepsTheOrderOfTheConfiguration(t *testing.T) {
	d := dice{rand.New(rand.NewPCG(3, 4))}
	for range 400 {
		rc := d.table()
		reqs := make([]*Request, 50)
		for i := range reqs {
			reqs[i] = d.request()
		}
		checkTable(t, rc, reqs)
	}
}

func FuzzIndex(f *testing.F) {
	f.Add(uint64(1), "/a/b", uint64(7))
	f.Add(uint64(99), "/aB?x", uint64(0))
	f.Fuzz(func(t *testing.T, seed uint64, path string, rnd uint64) {
		if path == "" || strings.Contains(path, "\n") {
			return
		}
		d := dice{rand.New(rand.NewPCG(seed, 0))}
		r := d.request()
		r.Path, r.Rand = []byte(path), rnd
		for _, c := range path {
			if c > 0x7f { // strings.ToLower knows more letters than Envoy's comparison
				return
			}
		}
		checkTable(t, d.table(), []*Request{r, d.request()})
	})
}
