package tree

import (
	"fmt"
	"math/rand/v2"
	"testing"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	networkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	sslv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/proxy/header"
)

// A generator makes random matchers and inputs of a small vocabulary, so that they meet.
type generator struct {
	rnd     *rand.Rand
	actions int
}

func (g *generator) pick(l ...string) string { return l[g.rnd.IntN(len(l))] }

func (g *generator) matcher(depth int) *matcherv3.Matcher {
	m := &matcherv3.Matcher{}
	switch g.rnd.IntN(6) {
	case 0:
	case 1, 2:
		l := &matcherv3.Matcher_MatcherList{}
		for range 1 + g.rnd.IntN(3) {
			l.Matchers = append(l.Matchers, &matcherv3.Matcher_MatcherList_FieldMatcher{Predicate: g.predicate(0), OnMatch: g.onMatch(depth)})
		}
		m.MatcherType = &matcherv3.Matcher_MatcherList_{MatcherList: l}
	default:
		m.MatcherType = &matcherv3.Matcher_MatcherTree_{MatcherTree: g.tree(depth)}
	}
	if g.rnd.IntN(3) == 0 {
		m.OnNoMatch = g.onMatch(depth)
	}
	return m
}

func (g *generator) onMatch(depth int) *matcherv3.Matcher_OnMatch {
	g.actions++
	o := action(fmt.Sprint("a", g.actions))
	if depth < 3 && g.rnd.IntN(2) == 0 {
		o.OnMatch = &matcherv3.Matcher_OnMatch_Matcher{Matcher: g.matcher(depth + 1)}
	}
	o.KeepMatching = g.rnd.IntN(6) == 0
	return o
}

// input gives one of a few inputs; most are always there.
func (g *generator) input() *xdscorev3.TypedExtensionConfig {
	return extend([]proto.Message{
		&networkv3.DestinationPortInput{}, &networkv3.SourceIPInput{}, &networkv3.ServerNameInput{},
		&typematcherv3.HttpRequestHeaderMatchInput{HeaderName: "x-a"}, &typematcherv3.HttpRequestHeaderMatchInput{HeaderName: "x-b"},
		&sslv3.UriSanInput{},
	}[g.rnd.IntN(6)])
}

// values are what inputs have and keys are made of.
func (g *generator) value() string {
	return g.pick("a", "ab", "abc", "a.b", "b.a.b", "c.a.b", "80", "443", "10.1.0.1", "10.2.0.1", "10.1.0.0", "2001:db8::1", "2001:db8:1::1", ".", "b", "::ffff:10.1.0.1")
}

func (g *generator) part() string {
	v := g.value()
	i := g.rnd.IntN(len(v))
	return v[i : i+1+g.rnd.IntN(len(v)-i)]
}

func (g *generator) predicate(depth int) *matcherv3.Matcher_MatcherList_Predicate {
	p := &matcherv3.Matcher_MatcherList_Predicate{}
	if depth < 3 {
		list := func() *matcherv3.Matcher_MatcherList_Predicate_PredicateList {
			return &matcherv3.Matcher_MatcherList_Predicate_PredicateList{
				Predicate: []*matcherv3.Matcher_MatcherList_Predicate{g.predicate(depth + 1), g.predicate(depth + 1)},
			}
		}
		switch g.rnd.IntN(6) {
		case 0:
			p.MatchType = &matcherv3.Matcher_MatcherList_Predicate_AndMatcher{AndMatcher: list()}
			return p
		case 1:
			p.MatchType = &matcherv3.Matcher_MatcherList_Predicate_OrMatcher{OrMatcher: list()}
			return p
		case 2:
			p.MatchType = &matcherv3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: g.predicate(depth + 1)}
			return p
		}
	}
	s := &matcherv3.StringMatcher{}
	switch g.rnd.IntN(4) {
	case 0:
		s.MatchPattern = &matcherv3.StringMatcher_Exact{Exact: g.value()}
	case 1:
		s.MatchPattern = &matcherv3.StringMatcher_Prefix{Prefix: g.part()}
	case 2:
		s.MatchPattern = &matcherv3.StringMatcher_Suffix{Suffix: g.part()}
	case 3:
		s.MatchPattern = &matcherv3.StringMatcher_Contains{Contains: g.part()}
	}
	p.MatchType = &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_{
		SinglePredicate: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate{
			Input:   g.input(),
			Matcher: &matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch{ValueMatch: s},
		},
	}
	return p
}

func (g *generator) tree(depth int) *matcherv3.Matcher_MatcherTree {
	t := &matcherv3.Matcher_MatcherTree{Input: g.input()}
	entries := func(key func() string) *matcherv3.Matcher_MatcherTree_MatchMap {
		m := map[string]*matcherv3.Matcher_OnMatch{}
		for range 1 + g.rnd.IntN(5) {
			m[key()] = g.onMatch(depth)
		}
		return &matcherv3.Matcher_MatcherTree_MatchMap{Map: m}
	}
	switch g.rnd.IntN(4) {
	case 0:
		t.TreeType = &matcherv3.Matcher_MatcherTree_ExactMatchMap{ExactMatchMap: entries(g.value)}
	case 1:
		t.TreeType = &matcherv3.Matcher_MatcherTree_PrefixMatchMap{PrefixMatchMap: entries(func() string {
			v := g.value()
			return v[:g.rnd.IntN(len(v)+1)]
		})}
	case 2:
		m := &matcherv3.IPMatcher{}
		for range 1 + g.rnd.IntN(5) {
			r := &matcherv3.IPMatcher_IPRangeMatcher{OnMatch: g.onMatch(depth), Exclusive: g.rnd.IntN(2) == 0}
			for range 1 + g.rnd.IntN(2) {
				c := &xdscorev3.CidrRange{AddressPrefix: g.pick("10.0.0.0", "10.1.0.0"), PrefixLen: wrapperspb.UInt32([]uint32{0, 8, 16, 32}[g.rnd.IntN(4)])}
				if g.rnd.IntN(3) == 0 {
					c = &xdscorev3.CidrRange{AddressPrefix: g.pick("2001:db8::", "2001:db8:1::"), PrefixLen: wrapperspb.UInt32([]uint32{0, 32, 48, 128}[g.rnd.IntN(4)])}
				}
				r.Ranges = append(r.Ranges, c)
			}
			m.RangeMatchers = append(m.RangeMatchers, r)
		}
		t.TreeType = &matcherv3.Matcher_MatcherTree_CustomMatch{CustomMatch: extend(m)}
	case 3:
		m := &matcherv3.ServerNameMatcher{}
		seen := map[string]bool{}
		for range 1 + g.rnd.IntN(5) {
			d := g.pick("a", "a.b", "b.a.b", "*.b", "*.a.b", "*", "80", "*.1", "*.c")
			if seen[d] {
				continue
			}
			seen[d] = true
			m.DomainMatchers = append(m.DomainMatchers, &matcherv3.ServerNameMatcher_DomainMatcher{Domains: []string{d}, OnMatch: g.onMatch(depth)})
		}
		t.TreeType = &matcherv3.Matcher_MatcherTree_CustomMatch{CustomMatch: extend(m)}
	}
	return t
}

// facts fills the input and says the same for the reference.
func (g *generator) facts(t testing.TB, in *Input) facts {
	f := facts{}
	var words []string
	set := func(key, word string, odds int, v string) {
		if g.rnd.IntN(odds) > 0 {
			f[key] = v
			words = append(words, word+"="+v)
		}
	}
	words = append(words, "conn")
	f["DestinationPortInput"] = g.pick("80", "443")
	words = append(words, "dst=192.0.2.1:"+f["DestinationPortInput"])
	set("SourceIPInput", "src", 5, g.pick("10.1.0.1", "10.2.0.1", "10.1.0.0", "2001:db8::1", "2001:db8:1::1"))
	set("ServerNameInput", "sni", 5, g.pick("a", "a.b", "b.a.b", "c.a.b", "x.1", "c"))
	f["UriSanInput"] = "?"
	if g.rnd.IntN(6) > 0 {
		delete(f, "UriSanInput")
		words = append(words, "tls")
		set("UriSanInput", "uri", 5, g.value())
	}
	if g.rnd.IntN(8) == 0 {
		f["request"] = "?"
	} else {
		set("HttpRequestHeaderMatchInputx-a", "h/x-a", 5, g.value())
		set("HttpRequestHeaderMatchInputx-b", "h/x-b", 2, g.value())
		if g.rnd.IntN(3) == 0 {
			v := g.value()
			words = append(words, "h/x-b="+v)
			if old, ok := f["HttpRequestHeaderMatchInputx-b"]; ok {
				v = old + "," + v
			}
			f["HttpRequestHeaderMatchInputx-b"] = v
		}
	}
	fill(t, in, words)
	if f["request"] != "?" && in.Request == nil {
		in.Request = &header.Headers{}
	}
	return f
}
