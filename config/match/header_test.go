package match

import (
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weirproxy/weir/proxy/header"
)

// fieldsOf makes headers of "name: value" lines separated by "; ".
func fieldsOf(s string) *header.Headers {
	h := &header.Headers{}
	for line := range strings.SplitSeq(s, "; ") {
		if n, v, ok := strings.Cut(line, ": "); ok {
			h.AddString(header.Intern(n), v)
		}
	}
	return h
}

// TestHeaderMatches has Envoy's answers, those for absent headers above all.
func TestHeaderMatches(t *testing.T) {
	type m = routev3.HeaderMatcher
	str := func(s string) *routev3.HeaderMatcher_StringMatch {
		return &routev3.HeaderMatcher_StringMatch{StringMatch: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}}}
	}
	present := func(b bool) *routev3.HeaderMatcher_PresentMatch {
		return &routev3.HeaderMatcher_PresentMatch{PresentMatch: b}
	}
	rng := func(a, b int64) *routev3.HeaderMatcher_RangeMatch {
		return &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{Start: a, End: b}}
	}
	for _, c := range []struct {
		name   string
		m      *m
		fields string
		want   bool
	}{
		{"nothing said is presence", &m{}, "x: ", true},
		{"nothing said, absent", &m{}, "", false},
		{"present", &m{HeaderMatchSpecifier: present(true)}, "x: 1", true},
		{"not present", &m{HeaderMatchSpecifier: present(false)}, "x: 1", false},
		{"not present, absent", &m{HeaderMatchSpecifier: present(false)}, "", true},
		{"inverted present", &m{HeaderMatchSpecifier: present(true), InvertMatch: true}, "x: 1", false},
		{"inverted present, absent", &m{HeaderMatchSpecifier: present(true), InvertMatch: true}, "", true},
		{"inverted not present, absent", &m{HeaderMatchSpecifier: present(false), InvertMatch: true}, "", false},
		{"present, absent counts as empty", &m{HeaderMatchSpecifier: present(true), TreatMissingHeaderAsEmpty: true}, "", true},
		{"exact", &m{HeaderMatchSpecifier: str("a")}, "x: a", true},
		{"one of several", &m{HeaderMatchSpecifier: str("b")}, "x: a; y: c; x: b", true},
		{"not joined", &m{HeaderMatchSpecifier: str("a,b")}, "x: a; x: b", false},
		{"inverted, none of several", &m{HeaderMatchSpecifier: str("c"), InvertMatch: true}, "x: a; x: b", true},
		{"inverted, one of several", &m{HeaderMatchSpecifier: str("b"), InvertMatch: true}, "x: a; x: b", false},
		{"range, one of several", &m{HeaderMatchSpecifier: rng(1, 3)}, "x: 7; x: 2", true},
		{"inline names are joined", &m{Name: "Via", HeaderMatchSpecifier: str("a,b")}, "via: a; y: c; via: b", true},
		{"inline names, not one by one", &m{Name: "via", HeaderMatchSpecifier: str("a")}, "via: a; via: b", false},
		{"inline names, empty fields", &m{Name: "via", HeaderMatchSpecifier: str("a,b")}, "via: ; via: a; via: ; via: b; via: ", true},
		{"inline names, inverted", &m{Name: "via", HeaderMatchSpecifier: str("a"), InvertMatch: true}, "via: a; via: b", true},
		{"inverted", &m{HeaderMatchSpecifier: str("a"), InvertMatch: true}, "x: b", true},
		{"inverted, absent", &m{HeaderMatchSpecifier: str("a"), InvertMatch: true}, "", false},
		{"inverted, absent counts as empty", &m{HeaderMatchSpecifier: str("a"), InvertMatch: true, TreatMissingHeaderAsEmpty: true}, "", true},
		{"empty, absent counts as empty", &m{HeaderMatchSpecifier: str(""), TreatMissingHeaderAsEmpty: true}, "", true},
		{"range start", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x: -5", true},
		{"range end", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x: 5", false},
		{"range plus", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x: +4", true},
		{"range space", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x:  4 ", true},
		{"range of no number", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x: 4.0", false},
		{"range of nothing", &m{HeaderMatchSpecifier: rng(-5, 5)}, "x: ", false},
		{"range least", &m{HeaderMatchSpecifier: rng(-1<<63, 0)}, "x: -9223372036854775808", true},
		{"range too little", &m{HeaderMatchSpecifier: rng(-1<<63, 0)}, "x: -9223372036854775809", false},
		{"range too much", &m{HeaderMatchSpecifier: rng(0, 1<<63-1)}, "x: 9223372036854775808", false},
		{"range, absent counts as empty, inverted", &m{HeaderMatchSpecifier: rng(0, 10), InvertMatch: true, TreatMissingHeaderAsEmpty: true}, "", true},
		{"deprecated exact of nothing", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_ExactMatch{}}, "x: anything", true},
		{"deprecated exact of nothing, absent", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_ExactMatch{}}, "", false},
		{"deprecated exact", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_ExactMatch{ExactMatch: "a"}}, "x: b", false},
		{"deprecated prefix", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_PrefixMatch{PrefixMatch: "a"}}, "x: ab", true},
		{"deprecated suffix", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_SuffixMatch{SuffixMatch: "b"}}, "x: ab", true},
		{"deprecated contains", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_ContainsMatch{ContainsMatch: "b"}}, "x: abc", true},
		{"deprecated regex", &m{HeaderMatchSpecifier: &routev3.HeaderMatcher_SafeRegexMatch{SafeRegexMatch: regexMatcher("a.c")}}, "x: abcd", false},
	} {
		if c.m.Name == "" {
			c.m.Name = "X"
		}
		h, err := NewHeader(c.m)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var tr Trace
		var sc Scratch
		for _, got := range []bool{h.Match(fieldsOf(c.fields), &sc, nil), h.Match(fieldsOf(c.fields), nil, &tr)} {
			if got != c.want {
				t.Errorf("%s: %v", c.name, got)
			}
		}
		if len(tr.Steps) != 1 || tr.Steps[0].OK != c.want {
			t.Errorf("%s: trace %v", c.name, tr.Steps)
		}
	}
}

func TestInlineNamesAreSorted(t *testing.T) {
	if !slices.IsSorted(inline) { // a binary search looks into it
		t.Error("they are not")
	}
}

func TestHeaderErrorsHavePaths(t *testing.T) {
	_, err := NewHeaders("headers", []*routev3.HeaderMatcher{
		nil,
		{Name: "a b"},
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_PrefixMatch{}},
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{}},
		{Name: "", HeaderMatchSpecifier: &routev3.HeaderMatcher_SafeRegexMatch{SafeRegexMatch: regexMatcher("*")}},
	})
	want := "headers[0]: empty\n" +
		"headers[1].name: not a header name: \"a b\"\n" +
		"headers[2].prefix_match: empty\n" +
		"headers[3].range_match: [0, 0) is empty\n" +
		"headers[4].name: empty\n" +
		"headers[4].safe_regex_match.regex: not an RE2 pattern: missing argument to repetition operator: `*`"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestMatchingAllocatesNothing(t *testing.T) {
	h := fieldsOf("x: a; x: b; via: a; via: b; cookie: a=1; cookie: session=\"s\"; y: 12")
	hdr, err := NewHeaders("", []*routev3.HeaderMatcher{
		{Name: "x", HeaderMatchSpecifier: &routev3.HeaderMatcher_ContainsMatch{ContainsMatch: "b"}},
		{Name: "via", HeaderMatchSpecifier: &routev3.HeaderMatcher_SafeRegexMatch{SafeRegexMatch: regexMatcher("[a-z],[a-z]")}},
		{Name: "y", HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{RangeMatch: &typev3.Int64Range{End: 100}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	q := Query{name: "q", text: Exact("v")}
	c := Cookie{name: "session", text: Exact("s")}
	path := []byte("/p?a=b&q=v")
	var sc Scratch
	if n := testing.AllocsPerRun(100, func() {
		if !MatchHeaders(hdr, h, &sc, nil) || !q.Match(path, nil) || !c.Match(h, nil) {
			t.Fatal("does not match")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzQueryAndCookie(f *testing.F) {
	f.Add("/a?b=c&d", "b", `x=1; y="2"`)
	f.Add("?&&=#", "", ";;=;")
	f.Fuzz(func(t *testing.T, path, name, cookies string) {
		if v, ok := Param([]byte(path), name); ok && !strings.Contains(path, name) {
			t.Fatalf("%q has no %q: %q", path, name, v)
		}
		h := &header.Headers{}
		h.AddString(cookie, cookies)
		if v, ok := FindCookie(h, name); ok && !strings.Contains(cookies, string(v)) {
			t.Fatalf("%q has no %q", cookies, v)
		}
		parseInt([]byte(name))
		a, b := SplitPath([]byte(path))
		if string(a)+string(b) != path {
			t.Fatalf("%q is cut into %q and %q", path, a, b)
		}
	})
}
