package route

import (
	"bytes"
	"strings"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// pathKind says how a route looks at the path.
type pathKind uint8

const (
	pathPrefix    pathKind = iota
	pathExact              // path
	pathSeparated          // path_separated_prefix: whole segments
	pathRegex              // safe_regex
	pathConnect            // connect_matcher: there is none, which only CONNECT has
)

// criteria is a compiled RouteMatch. The path it looks at has neither query nor
// fragment, as in Envoy.
type criteria struct {
	kind pathKind
	fold bool   // case_sensitive: false
	text string // lower case when fold
	re   *match.Regex

	bare     bool // nothing but the path
	grpc     bool
	fraction *match.Fraction // runtime_fraction; nil is everything
	headers  []match.Header
	queries  []match.Query
	cookies  []match.Cookie
}

// matchPath tells whether the path matches.
func (c *criteria) matchPath(path []byte, tr *match.Trace) bool {
	ok := false
	t := c.text
	switch {
	case len(path) == 0 || c.kind == pathConnect:
		ok = len(path) == 0 && c.kind == pathConnect
	case c.kind == pathPrefix:
		ok = len(path) >= len(t) && c.eq(path[:len(t)], t)
	case c.kind == pathExact:
		ok = len(path) == len(t) && c.eq(path, t)
	case c.kind == pathSeparated:
		ok = len(path) >= len(t) && c.eq(path[:len(t)], t) && (len(path) == len(t) || path[len(t)] == '/')
	case c.kind == pathRegex:
		ok = c.re.Match(path)
	}
	if tr != nil {
		if ok {
			tr.Note(true, "path", "%q %s", path, c.describe())
		} else {
			tr.Note(false, "path", "%q is not one that %s", path, c.describe())
		}
	}
	return ok
}

func (c *criteria) eq(b []byte, t string) bool {
	if c.fold {
		return match.EqualFold(b, t)
	}
	return string(b) == t
}

// describe completes "the path …".
func (c *criteria) describe() string {
	var b strings.Builder
	switch c.kind {
	case pathPrefix:
		b.WriteString("begins with ")
	case pathExact:
		b.WriteString("equals ")
	case pathSeparated:
		b.WriteString("begins with the segments ")
	case pathRegex:
		b.WriteString("matches ")
	case pathConnect:
		b.WriteString("is CONNECT's, which has none")
	}
	b.WriteString(c.text)
	if c.fold {
		b.WriteString(" in any letter case")
	}
	return b.String()
}

// matchRest tells whether everything but the path matches.
func (c *criteria) matchRest(r *Request, tr *match.Trace) bool {
	if c.bare {
		return true
	}
	// Envoy: the fraction is looked at first.
	if c.fraction != nil && !c.fraction.Match(r.Rand, tr) {
		return false
	}
	if c.grpc && !isGRPC(r, tr) {
		return false
	}
	if !match.MatchHeaders(c.headers, r.Headers, &r.scratch, tr) {
		return false
	}
	for i := range c.queries {
		if !c.queries[i].Match(r.Path, tr) {
			return false
		}
	}
	for i := range c.cookies {
		if !c.cookies[i].Match(r.Headers, tr) {
			return false
		}
	}
	return true
}

// isGRPC tells whether the content type is application/grpc or application/grpc+x.
func isGRPC(r *Request, tr *match.Trace) bool {
	const grpc = "application/grpc"
	ct := r.Headers.Value(header.ContentType)
	ok := bytes.HasPrefix(ct, []byte(grpc)) && (len(ct) == len(grpc) || ct[len(grpc)] == '+')
	if tr != nil {
		tr.Note(ok, "content-type", "is %q, wanted: gRPC", ct)
	}
	return ok
}
