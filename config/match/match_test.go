package match

import (
	"regexp"
	"strings"
	"testing"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func regexMatcher(s string) *matcherv3.RegexMatcher { return &matcherv3.RegexMatcher{Regex: s} }

func TestStringMatches(t *testing.T) {
	exact := func(s string, fold bool) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: s}, IgnoreCase: fold}
	}
	prefix := func(s string, fold bool) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: s}, IgnoreCase: fold}
	}
	suffix := func(s string, fold bool) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Suffix{Suffix: s}, IgnoreCase: fold}
	}
	contains := func(s string, fold bool) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Contains{Contains: s}, IgnoreCase: fold}
	}
	regex := func(s string) *matcherv3.StringMatcher {
		return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regexMatcher(s)}}
	}
	for _, c := range []struct {
		m       *matcherv3.StringMatcher
		yes, no string // separated by spaces; "-" is the empty string
	}{
		{exact("Ab", false), "Ab", "ab AB A Abc -"},
		{exact("Ab", true), "Ab ab AB", "A abc -"},
		{exact("", false), "-", "a"},
		{prefix("Ab", false), "Ab Abc", "abc A -"},
		{prefix("Ab", true), "aBc", "b -"},
		{suffix("Yz", false), "Yz xYz", "yz z -"},
		{suffix("Yz", true), "xyZ", "z -"},
		{contains("Mm", false), "Mm aMmb aMMm MMm", "mm M -"},
		{contains("Mm", true), "mM xmmx", "m -"},
		{contains("aab", false), "aaab", "aaa ab"},
		{regex("a+"), "a aa", "A ab ba -"},
		{regex("(?i)a+"), "a AA", "ab -"},
		{regex("GET|POST"), "GET POST", "GETPOST get -"},
	} {
		s, err := NewString(c.m)
		if err != nil {
			t.Fatal(err)
		}
		for w := range strings.FieldsSeq(c.yes) {
			if !s.Match([]byte(strings.TrimSuffix(w, "-"))) {
				t.Errorf("%s: does not match %q", s.String(), w)
			}
		}
		for w := range strings.FieldsSeq(c.no) {
			if s.Match([]byte(strings.TrimSuffix(w, "-"))) {
				t.Errorf("%s: matches %q", s.String(), w)
			}
		}
	}
}

func TestStringErrorsHavePaths(t *testing.T) {
	for want, m := range map[string]*matcherv3.StringMatcher{
		"unset": nil,
		"match_pattern: unset (one of exact, prefix, suffix, contains, safe_regex)": {},
		"prefix: empty":           {MatchPattern: &matcherv3.StringMatcher_Prefix{}},
		"suffix: empty":           {MatchPattern: &matcherv3.StringMatcher_Suffix{}},
		"contains: empty":         {MatchPattern: &matcherv3.StringMatcher_Contains{}},
		"safe_regex.regex: empty": {MatchPattern: &matcherv3.StringMatcher_SafeRegex{}},
		"safe_regex.regex: not an RE2 pattern: missing closing ): `(`": {
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regexMatcher("(")},
		},
		"ignore_case: has no effect on safe_regex (begin the regex with (?i))": {
			MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regexMatcher("a")}, IgnoreCase: true,
		},
		"custom: unsupported (supported: exact, prefix, suffix, contains, safe_regex)": {MatchPattern: &matcherv3.StringMatcher_Custom{}},
	} {
		if _, err := NewString(m); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// patterns are shapes that the recogniser of plain text may get wrong.
var patterns = []string{
	"a", "abc", "", "a|b", "ab|cd", "foo|far", "(GET|POST)", "^abc$", "^(a|b)$", "a^b", "a$b", "(^a)", "(a$)|b", "^", "$", "^$",
	"/a/.*", "/a/.+", ".*", ".+", ".*x", "a.*b", "a.+b", "a.*b.*c", "a.", "a?", "(?i)abc", "(?i)k", "[ab]c", "[a-z]", "[^a]", "a{2}",
	"(?s)a.*", "(?m)^a$", `\.png`, `a\/b`, `\Qa.b\E`, "a|", "(a|b)(c|d)", "(a|b)(c|d)(e|f)(g|h)", "(?:a)", "a(b|c)*d", "/x/.*|/y", `a\z`, `\Aa`,
	"\xef\xbf\xbd", "é", `\x{e9}.*`, "(.*)", "(/a)(.*)", `^/a/.*$`, "a.*a",
}

// inputs are strings to try every pattern on.
var inputs = []string{
	"", "a", "b", "c", "ab", "cd", "abc", "ABC", "foo", "far", "GET", "POST", "/a/", "/a", "/a/b", "/a/\n", "x", "ax", "a\nx", "aXb", "acb", "a b\nb",
	"abcbc", "aa", "k", "K", "\u212a", "bc", "ac", "z", ".png", "a/b", "a.b", "bd", "aceg", "bdfh", "abcd", "ad", "/x/1", "/y", "\xff", "a\xff", "é",
	"\xef\xbf\xbd", "éa", "aba", "/a/x",
}

func TestRegexMatchesTheWholeString(t *testing.T) {
	for _, p := range patterns {
		r, err := CompileRegex(p)
		if err != nil {
			t.Fatal(err)
		}
		for _, in := range inputs {
			if got, want := r.Match([]byte(in)), reference(t, p).MatchString(in); got != want {
				t.Errorf("%q on %q: %v, want %v (%+v)", p, in, got, want, r)
			}
		}
	}
}

func TestPlainPatternsDoNotReachTheEngine(t *testing.T) {
	for _, p := range []string{"/a/b", "^/a$", "/a/.*", "/a/.+", ".*", "(GET|POST)", "GET|PUT", `/files/.*\.png`, "[ab]c", "foo|far"} {
		r, err := CompileRegex(p)
		if err != nil {
			t.Fatal(err)
		}
		if r.re != nil {
			t.Errorf("%q is compiled to a program", p)
		}
	}
}

func reference(t testing.TB, p string) *regexp.Regexp {
	re, err := regexp.Compile(`\A(?:` + p + `)\z`)
	if err != nil {
		t.Fatal(err)
	}
	return re
}

func FuzzRegex(f *testing.F) {
	for i, p := range patterns {
		f.Add(p, inputs[i%len(inputs)])
	}
	f.Fuzz(func(t *testing.T, p, in string) {
		r, err := CompileRegex(p)
		if err != nil || strings.Contains(p, `\Q`) { // quotes the reference's end
			return
		}
		if got, want := r.Match([]byte(in)), reference(t, p).MatchString(in); got != want {
			t.Fatalf("%q on %q: %v, want %v", p, in, got, want)
		}
		if lit, ok := r.Literal(); ok && (in == lit) != r.Match([]byte(in)) {
			t.Fatalf("%q is not the literal %q: %q", p, lit, in)
		}
		if r.Match([]byte(in)) && !strings.HasPrefix(in, r.Prefix()) {
			t.Fatalf("%q matches %q, which does not begin with %q", p, in, r.Prefix())
		}
	})
}
