package route

import (
	"regexp"
	"strings"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// A Rewrite changes the path and the host that are sent upstream. The zero value
// changes nothing.
type Rewrite struct {
	PrefixSet bool
	Prefix    string        // prefix_rewrite: in place of what the route matched
	Regex     *RegexRewrite // regex_rewrite

	// The host: at most one of these.
	Host       string        // host_rewrite_literal
	AutoHost   bool          // auto_host_rewrite: the name the upstream host was found by
	HostHeader header.Name   // host_rewrite_header
	HostRegex  *RegexRewrite // host_rewrite_path_regex: the path without query, substituted
}

// Path tells whether the path is changed.
func (w *Rewrite) Path() bool { return w.PrefixSet || w.Regex != nil }

// A RegexRewrite replaces every match of a pattern (Envoy:
// RegexMatchAndSubstitute). It is immutable.
type RegexRewrite struct {
	re       *regexp.Regexp
	template []byte // in the syntax of regexp.Expand
	source   string // as configured: pattern, "→", substitution
}

// String gives pattern and substitution as configured.
func (x *RegexRewrite) String() string { return x.source }

// Append writes src with every match replaced. It allocates.
func (x *RegexRewrite) Append(dst, src []byte) []byte {
	return append(dst, x.re.ReplaceAll(src, x.template)...)
}

// newRegexRewrite compiles a substitution in RE2's syntax: \0 is the match, \1 to
// \9 are its groups, \\ is a backslash.
func newRegexRewrite(re *regexp.Regexp, sub string) (*RegexRewrite, string) {
	var t strings.Builder
	for i := 0; i < len(sub); i++ {
		c := sub[i]
		switch {
		case c == '$':
			t.WriteString("$$")
		case c != '\\':
			t.WriteByte(c)
		case i+1 == len(sub):
			return nil, `ends in a single backslash`
		default:
			i++
			switch d := sub[i]; {
			case d == '\\':
				t.WriteByte('\\')
			case d < '0' || d > '9':
				return nil, `has \` + sub[i:i+1] + `, which is neither a group nor \\`
			case int(d-'0') > re.NumSubexp():
				return nil, `has \` + sub[i:i+1] + `, but the pattern has no such group`
			default:
				t.WriteString("${")
				t.WriteByte(d)
				t.WriteByte('}')
			}
		}
	}
	return &RegexRewrite{re, []byte(t.String()), re.String() + " → " + sub}, ""
}

// AppendPath writes the path and query that go upstream, for a request with the
// given ones. Without a rewrite that is the path itself.
func (r *Route) AppendPath(dst, path []byte) []byte {
	if r.Forward == nil {
		return append(dst, path...)
	}
	w := &r.Forward.Rewrite
	return r.criteria.rewrite(dst, path, w.PrefixSet, w.Prefix, w.Regex)
}

// rewrite puts prefix in place of what the criteria matched — of the whole path
// for path and safe_regex — or replaces the matches of x; the query stays. What
// would become nothing stays as it is (Envoy 1.40, measured).
func (c *criteria) rewrite(dst, path []byte, prefixSet bool, prefix string, x *RegexRewrite) []byte {
	head, query := match.SplitPath(path)
	from := len(dst)
	switch {
	case prefixSet:
		dst = append(dst, prefix...)
		if (c.kind == pathPrefix || c.kind == pathSeparated) && len(head) >= len(c.text) {
			dst = append(dst, head[len(c.text):]...)
		}
	case x != nil:
		dst = x.Append(dst, head)
	}
	if len(dst) == from {
		dst = append(dst, head...)
	}
	return append(dst, query...)
}

// AppendHost writes the host that goes upstream when the configuration names
// one; otherwise ok is false. auto_host_rewrite is not looked at: the name is
// that of the host that is picked later. w is the share that percentage routing
// picked, or nil.
func (f *Forward) AppendHost(dst []byte, w *ClusterWeight, r *Request) (host []byte, ok bool) {
	rw := &f.Rewrite
	switch {
	case w != nil && w.HostRewrite != "":
		return append(dst, w.HostRewrite...), true
	case rw.Host != "":
		return append(dst, rw.Host...), true
	case rw.HostHeader != header.Name{}:
		v := r.Headers.Value(rw.HostHeader)
		return append(dst, v...), len(v) > 0
	case rw.HostRegex != nil:
		head, _ := match.SplitPath(r.Path)
		from := len(dst)
		dst = rw.HostRegex.Append(dst, head)
		return dst, len(dst) > from
	}
	return dst, false
}
