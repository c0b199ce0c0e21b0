package match

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// Regex is a compiled RegexMatcher that matches whole strings, as Envoy's
// safe_regex does. Go's regexp is RE2: linear in the input, whatever the pattern.
//
// Patterns that are plain text in disguise (`/a/b`, `/a/.*`, `(GET|POST)`)
// never reach the regexp engine.
type Regex struct {
	src  string
	lead string // what every match begins with

	// Exactly one of the following is used.
	set          []string // one of these, exactly
	prefix, tail string   // prefix, anything without a line feed, then tail
	min          int      // … of at least min bytes
	wild         bool
	re           *regexp.Regexp
}

// NewRegex compiles a RegexMatcher.
func NewRegex(m *matcherv3.RegexMatcher) (*Regex, error) {
	if m == nil || m.Regex == "" {
		return nil, fail("regex", "empty")
	}
	r, err := CompileRegex(m.Regex)
	return r, at("regex", err)
}

// CompileRegex compiles a pattern that has to match the whole string.
func CompileRegex(src string) (*Regex, error) {
	// Alone first: `a)(b` becomes valid once it is put into parentheses.
	tree, err := syntax.Parse(src, syntax.Perl)
	if err != nil {
		return nil, regexError(err)
	}
	r := &Regex{src: src}
	parts := strip(tree)
	r.lead, _ = lead(parts)
	if set, ok := finite(&syntax.Regexp{Op: syntax.OpConcat, Sub: parts}); ok {
		r.set = set
		return r, nil
	}
	if r.plain(parts) {
		return r, nil
	}
	// The tree's own text rather than src: a `\Q` that is never closed would quote
	// the rest of what is put around it.
	re, err := regexp.Compile(`\A(?:` + tree.String() + `)\z`)
	if err != nil {
		return nil, regexError(err)
	}
	r.re = re
	return r, nil
}

// CompileSubstring compiles the pattern of a RegexMatchAndSubstitute, which is
// looked for anywhere.
func CompileSubstring(m *matcherv3.RegexMatcher) (*regexp.Regexp, error) {
	if m == nil || m.Regex == "" {
		return nil, fail("regex", "empty")
	}
	re, err := regexp.Compile(m.Regex)
	if err != nil {
		return nil, at("regex", regexError(err))
	}
	return re, nil
}

func regexError(err error) error {
	var se *syntax.Error
	if errors.As(err, &se) {
		return errors.New("not an RE2 pattern: " + se.Code.String() + ": `" + se.Expr + "`")
	}
	return err
}

// Match tells whether the whole of b matches.
func (r *Regex) Match(b []byte) bool {
	switch {
	case r.re != nil:
		return r.re.Match(b)
	case r.wild:
		n := len(r.prefix) + len(r.tail)
		return len(b) >= n+r.min && string(b[:len(r.prefix)]) == r.prefix &&
			string(b[len(b)-len(r.tail):]) == r.tail &&
			bytes.IndexByte(b[len(r.prefix):len(b)-len(r.tail)], '\n') < 0
	}
	for _, s := range r.set {
		if string(b) == s {
			return true
		}
	}
	return false
}

// String gives the pattern as configured.
func (r *Regex) String() string { return r.src }

// Literal tells whether the pattern is one plain string, and which.
func (r *Regex) Literal() (string, bool) {
	if len(r.set) == 1 {
		return r.set[0], true
	}
	return "", false
}

// Prefix gives what every string that matches begins with; "" when unknown.
func (r *Regex) Prefix() string { return r.lead }

// lead gives the text that a concatenation begins with, and whether that is all
// of it.
func lead(parts []*syntax.Regexp) (text string, all bool) {
	for _, p := range parts {
		one, whole := "", false
		switch p.Op {
		case syntax.OpLiteral:
			if whole = literal(p); whole {
				one = string(p.Rune)
			}
		case syntax.OpCapture, syntax.OpConcat:
			one, whole = lead(p.Sub)
		case syntax.OpPlus:
			one, _ = lead(p.Sub)
		case syntax.OpEmptyMatch, syntax.OpBeginText:
			whole = true
		}
		text += one
		if !whole {
			return text, false
		}
	}
	return text, true
}

// literal tells whether a node is plain text. U+FFFD stands for broken UTF-8 too.
func literal(t *syntax.Regexp) bool {
	return t.Op == syntax.OpLiteral && t.Flags&syntax.FoldCase == 0 && !slices.Contains(t.Rune, '\uFFFD')
}

// maxSet bounds the alternatives that are worth comparing one by one.
const maxSet = 8

// finite lists the strings of a pattern that has only a few.
func finite(t *syntax.Regexp) ([]string, bool) {
	switch t.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		if !literal(t) {
			return nil, false
		}
		return []string{string(t.Rune)}, true
	case syntax.OpCapture:
		return finite(t.Sub[0])
	case syntax.OpCharClass:
		return class(t.Rune)
	case syntax.OpAlternate:
		var out []string
		for _, sub := range t.Sub {
			l, ok := finite(sub)
			if !ok || len(out)+len(l) > maxSet {
				return nil, false
			}
			out = append(out, l...)
		}
		return out, true
	case syntax.OpConcat:
		out := []string{""}
		for _, sub := range t.Sub {
			l, ok := finite(sub)
			if !ok || len(out)*len(l) > maxSet {
				return nil, false
			}
			var next []string
			for _, a := range out {
				for _, b := range l {
					next = append(next, a+b)
				}
			}
			out = next
		}
		return out, true
	}
	return nil, false
}

// class lists a character class of a few ASCII characters, as the parser makes
// of `a|b`.
func class(ranges []rune) ([]string, bool) {
	var out []string
	for i := 0; i+1 < len(ranges); i += 2 {
		for c := ranges[i]; c <= ranges[i+1]; c++ {
			if c > 0x7f || len(out) == maxSet {
				return nil, false
			}
			out = append(out, string(c))
		}
	}
	return out, len(out) > 0
}

// strip drops the anchors of `^…$`, which a whole match has anyway.
func strip(t *syntax.Regexp) []*syntax.Regexp {
	if t.Op != syntax.OpConcat {
		return []*syntax.Regexp{t}
	}
	l := t.Sub
	if len(l) > 0 && l[0].Op == syntax.OpBeginText {
		l = l[1:]
	}
	if len(l) > 0 && l[len(l)-1].Op == syntax.OpEndText {
		l = l[:len(l)-1]
	}
	return l
}

// plain recognises prefix.*suffix and prefix.+suffix.
func (r *Regex) plain(l []*syntax.Regexp) bool {
	var text [2]strings.Builder
	side, least := 0, 0
	for _, e := range l {
		switch {
		case literal(e):
			text[side].WriteString(string(e.Rune))
		case (e.Op == syntax.OpStar || e.Op == syntax.OpPlus) && e.Sub[0].Op == syntax.OpAnyCharNotNL && side == 0:
			side = 1
			if e.Op == syntax.OpPlus {
				least = 1
			}
		default:
			return false
		}
	}
	if side == 0 {
		return false
	}
	r.wild, r.min, r.prefix, r.tail = true, least, text[0].String(), text[1].String()
	return true
}

// at puts a path before an error; nil stays nil.
func at(path string, err error) error {
	var errs fielderr.List
	errs.Add(path, err)
	return errs.Err()
}

// fail makes an error at a path.
func fail(path, format string, args ...any) error {
	return &fielderr.Error{Path: path, Err: fmt.Errorf(format, args...)}
}
