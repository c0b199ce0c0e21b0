package tree

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/weirproxy/weir/config/match"
)

// The reference asks the message itself, slowly and with nothing compiled: what it says is read off Envoy's documents.

// facts are the values of inputs by their message; "?" is not there, a missing key is absent.
type facts map[string]string

func (f facts) get(c *xdscorev3.TypedExtensionConfig) (v string, known, have bool) {
	m, err := c.TypedConfig.UnmarshalNew()
	if err != nil {
		panic(err)
	}
	key := string(m.ProtoReflect().Descriptor().Name())
	if h, ok := m.(*typematcherv3.HttpRequestHeaderMatchInput); ok {
		key += h.HeaderName
		if f["request"] == "?" {
			return "", false, false
		}
	}
	v, have = f[key]
	return v, v != "?", have
}

// verdict is "" for none, "?" for unknown, or the action.
type verdict string

func (f facts) matcher(m *matcherv3.Matcher, kept *[]string) verdict {
	var ways []*matcherv3.Matcher_OnMatch // in the order in which they are tried
	switch t := m.MatcherType.(type) {
	case *matcherv3.Matcher_MatcherList_:
		for _, e := range t.MatcherList.Matchers {
			ok, known := f.predicate(e.Predicate)
			if !known {
				return "?"
			}
			if ok {
				if v := f.onMatch(e.OnMatch, kept); v != "" {
					return v
				}
			}
		}
	case *matcherv3.Matcher_MatcherTree_:
		v, known, have := f.get(t.MatcherTree.Input)
		if !known {
			return "?"
		}
		if have {
			ways = candidates(t.MatcherTree, v)
		}
	}
	for _, o := range append(ways, m.OnNoMatch) {
		if v := f.onMatch(o, kept); v != "" {
			return v
		}
	}
	return ""
}

func candidates(t *matcherv3.Matcher_MatcherTree, v string) (out []*matcherv3.Matcher_OnMatch) {
	type way struct {
		rank, place int
		exclusive   bool
		on          *matcherv3.Matcher_OnMatch
	}
	var ways []way
	switch k := t.TreeType.(type) {
	case *matcherv3.Matcher_MatcherTree_ExactMatchMap:
		return []*matcherv3.Matcher_OnMatch{k.ExactMatchMap.Map[v]}
	case *matcherv3.Matcher_MatcherTree_PrefixMatchMap:
		for p, on := range k.PrefixMatchMap.Map {
			if strings.HasPrefix(v, p) {
				ways = append(ways, way{len(p), 0, false, on})
			}
		}
	case *matcherv3.Matcher_MatcherTree_CustomMatch:
		m, err := k.CustomMatch.TypedConfig.UnmarshalNew()
		if err != nil {
			panic(err)
		}
		switch m := m.(type) {
		case *matcherv3.IPMatcher:
			a, err := netip.ParseAddr(v)
			if err != nil || a.Zone() != "" {
				return nil
			}
			for i, r := range m.RangeMatchers {
				for _, c := range r.Ranges {
					p := netip.PrefixFrom(netip.MustParseAddr(c.AddressPrefix), int(c.PrefixLen.GetValue()))
					if p.Contains(a.Unmap()) {
						ways = append(ways, way{p.Bits(), i, r.Exclusive, r.OnMatch})
					}
				}
			}
		case *matcherv3.ServerNameMatcher:
			for _, d := range m.DomainMatchers {
				for _, name := range d.Domains {
					switch {
					case v == "":
					case name == v:
						ways = append(ways, way{1000, 0, false, d.OnMatch})
					case name == "*":
						ways = append(ways, way{0, 0, false, d.OnMatch})
					case name[0] == '*' && strings.HasSuffix(v, name[1:]):
						ways = append(ways, way{len(name), 0, false, d.OnMatch})
					}
				}
			}
		}
	}
	slices.SortStableFunc(ways, func(a, b way) int {
		if a.rank != b.rank {
			return b.rank - a.rank
		}
		return a.place - b.place
	})
	for _, w := range ways {
		if !w.exclusive || len(out) == 0 {
			out = append(out, w.on)
		}
	}
	return out
}

func (f facts) onMatch(o *matcherv3.Matcher_OnMatch, kept *[]string) verdict {
	if o == nil {
		return ""
	}
	var v verdict
	if n := o.GetMatcher(); n != nil {
		v = f.matcher(n, kept)
	} else {
		w, _ := word("", o.GetAction())
		v = verdict(w)
	}
	if o.KeepMatching && v != "" && v != "?" {
		*kept = append(*kept, string(v))
		return ""
	}
	return v
}

func (f facts) predicate(p *matcherv3.Matcher_MatcherList_Predicate) (ok, known bool) {
	switch t := p.MatchType.(type) {
	case *matcherv3.Matcher_MatcherList_Predicate_NotMatcher:
		ok, known = f.predicate(t.NotMatcher)
		return !ok, known
	case *matcherv3.Matcher_MatcherList_Predicate_AndMatcher:
		for _, q := range t.AndMatcher.Predicate {
			if ok, known := f.predicate(q); !ok || !known {
				return false, known
			}
		}
		return true, true
	case *matcherv3.Matcher_MatcherList_Predicate_OrMatcher:
		known = true
		for _, q := range t.OrMatcher.Predicate {
			o, k := f.predicate(q)
			if k && o {
				return true, true
			}
			known = known && k
		}
		return false, known
	}
	s := p.GetSinglePredicate()
	v, known, have := f.get(s.Input)
	if !known || !have {
		return false, known
	}
	switch m := s.GetValueMatch().MatchPattern.(type) {
	case *matcherv3.StringMatcher_Exact:
		return v == m.Exact, true
	case *matcherv3.StringMatcher_Prefix:
		return strings.HasPrefix(v, m.Prefix), true
	case *matcherv3.StringMatcher_Suffix:
		return strings.HasSuffix(v, m.Suffix), true
	}
	return strings.Contains(v, s.GetValueMatch().GetContains()), true
}

// TestMatchesAsTheReference compares random matchers with the reference.
func TestMatchesAsTheReference(t *testing.T) {
	g := &generator{rnd: rand.New(rand.NewPCG(1, 2))}
	in := &Input{}
	verdicts := map[string]int{}
	for range 3000 {
		m := g.matcher(0)
		tr, err := Decode(m, Options{Inputs: everything, KeepMatching: true}, word)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			f := g.facts(t, in)
			var want, got []string
			v := f.matcher(m, &want)
			a, ok := tr.MatchEach(in, nil, func(a string) { got = append(got, a) })
			if ok != (v != "" && v != "?") || ok && a != string(v) || !slices.Equal(want, got) {
				var trace match.Trace
				tr.Match(in, &trace)
				t.Fatalf("%v\ngot  %q %v %v\nwant %q %v\n%v\n%v", f, a, ok, got, v, want, m, trace)
			}
			verdicts[string(v[:min(len(v), 1)])]++
		}
	}
	// The comparison is worth something only when all answers come up often.
	for _, v := range []string{"", "?", "a"} {
		if verdicts[v] < 1000 {
			t.Errorf("%q came up %d times", v, verdicts[v])
		}
	}
}
