package match

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

type op uint8

const (
	opNone op = iota
	opExact
	opPrefix
	opSuffix
	opContains
	opRegex
)

// String is a compiled StringMatcher. It is immutable; the zero value matches
// nothing.
type String struct {
	op   op
	fold bool // ASCII letters in any case (Envoy: ignore_case)
	text string
	re   *Regex
}

// NewString compiles a StringMatcher.
func NewString(m *matcherv3.StringMatcher) (String, error) {
	if m == nil {
		return String{}, errors.New("unset")
	}
	s := String{fold: m.IgnoreCase}
	field := ""
	switch p := m.MatchPattern.(type) {
	case *matcherv3.StringMatcher_Exact:
		s.op, s.text = opExact, p.Exact
	case *matcherv3.StringMatcher_Prefix:
		s.op, s.text, field = opPrefix, p.Prefix, "prefix"
	case *matcherv3.StringMatcher_Suffix:
		s.op, s.text, field = opSuffix, p.Suffix, "suffix"
	case *matcherv3.StringMatcher_Contains:
		s.op, s.text, field = opContains, p.Contains, "contains"
	case *matcherv3.StringMatcher_SafeRegex:
		re, err := NewRegex(p.SafeRegex)
		if err != nil {
			return String{}, at("safe_regex", err)
		}
		if m.IgnoreCase { // refused by Envoy too
			return String{}, fail("ignore_case", "has no effect on safe_regex (begin the regex with (?i))")
		}
		return String{op: opRegex, re: re}, nil
	case *matcherv3.StringMatcher_Custom:
		return String{}, fail("custom", "unsupported (supported: exact, prefix, suffix, contains, safe_regex)")
	default:
		return String{}, fail("match_pattern", "unset (one of exact, prefix, suffix, contains, safe_regex)")
	}
	if field != "" && s.text == "" {
		return String{}, fail(field, "empty")
	}
	if s.fold {
		s.text = lower(s.text)
	}
	return s, nil
}

// NewStrings compiles a list; field is the name of the list, for paths.
func NewStrings(field string, l []*matcherv3.StringMatcher) ([]String, error) {
	var errs fielderr.List
	out := make([]String, 0, len(l))
	for i, m := range l {
		s, err := NewString(m)
		errs.Add(fielderr.Index(field, i), err)
		out = append(out, s)
	}
	return out, errs.Err()
}

// Exact gives a matcher of one string.
func Exact(s string) String { return String{op: opExact, text: s} }

// Prefix gives a matcher of strings that begin with s.
func Prefix(s string) String { return String{op: opPrefix, text: s} }

// Match tells whether b matches.
func (s *String) Match(b []byte) bool {
	t := s.text
	switch s.op {
	case opExact:
		return len(b) == len(t) && s.eq(b, t)
	case opPrefix:
		return len(b) >= len(t) && s.eq(b[:len(t)], t)
	case opSuffix:
		return len(b) >= len(t) && s.eq(b[len(b)-len(t):], t)
	case opContains:
		return s.contains(b)
	case opRegex:
		return s.re.Match(b)
	}
	return false
}

func (s *String) eq(b []byte, t string) bool {
	if s.fold {
		return EqualFold(b, t)
	}
	return string(b) == t
}

func (s *String) contains(b []byte) bool {
	t := s.text
	if t == "" {
		return true
	}
	if !s.fold {
		// bytes.Contains wants a []byte of t: its conversion is the search's cost
		// too, so look for the first byte and compare.
		for {
			i := bytes.IndexByte(b, t[0])
			if i < 0 || len(b)-i < len(t) {
				return false
			}
			if string(b[i:i+len(t)]) == t {
				return true
			}
			b = b[i+1:]
		}
	}
	for ; len(b) >= len(t); b = b[1:] {
		if EqualFold(b[:len(t)], t) {
			return true
		}
	}
	return false
}

// String says in words what matches: `exactly "a"`, `matching regex "a.*"`.
func (s *String) String() string {
	w := ""
	switch s.op {
	case opExact:
		w = "exactly " + strconv.Quote(s.text)
	case opPrefix:
		w = "beginning with " + strconv.Quote(s.text)
	case opSuffix:
		w = "ending in " + strconv.Quote(s.text)
	case opContains:
		w = "containing " + strconv.Quote(s.text)
	case opRegex:
		return "matching regex " + strconv.Quote(s.re.String())
	default:
		return "nothing"
	}
	if s.fold {
		w += " in any letter case"
	}
	return w
}

// EqualFold compares b in any ASCII letter case with a lower-case string.
func EqualFold(b []byte, low string) bool {
	if len(b) != len(low) {
		return false
	}
	for i := 0; i < len(low); i++ {
		if Lower(b[i]) != low[i] {
			return false
		}
	}
	return true
}

// Lower maps A–Z to a–z and every other byte to itself.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// lower is strings.ToLower for ASCII letters only, as Envoy compares.
func lower(s string) string {
	for i := 0; i < len(s); i++ {
		if Lower(s[i]) != s[i] {
			var b strings.Builder
			for j := 0; j < len(s); j++ {
				b.WriteByte(Lower(s[j]))
			}
			return b.String()
		}
	}
	return s
}

// LowerString gives s with A–Z in lower case.
func LowerString(s string) string { return lower(s) }
