package match

import (
	"bytes"
	"errors"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// Query is a compiled QueryParameterMatcher. It is immutable.
type Query struct {
	name    string
	present bool // asks only whether the parameter is there …
	want    bool // … and wants this answer
	text    String
}

// NewQuery compiles a QueryParameterMatcher.
func NewQuery(m *routev3.QueryParameterMatcher) (Query, error) {
	if m == nil {
		return Query{}, errors.New("empty")
	}
	var errs fielderr.List
	q := Query{name: m.Name}
	if m.Name == "" || len(m.Name) > 1024 {
		errs.Addf("name", "has %d bytes, not 1 to 1024", len(m.Name))
	}
	switch s := m.QueryParameterMatchSpecifier.(type) {
	case nil:
		q.present, q.want = true, true
	case *routev3.QueryParameterMatcher_PresentMatch:
		q.present, q.want = true, s.PresentMatch
	case *routev3.QueryParameterMatcher_StringMatch:
		t, err := NewString(s.StringMatch)
		errs.Add("string_match", err)
		q.text = t
	default:
		errs.Addf("", "unsupported query parameter match")
	}
	return q, errs.Err()
}

// NewQueries compiles a list; field is the name of the list, for paths.
func NewQueries(field string, l []*routev3.QueryParameterMatcher) ([]Query, error) {
	var errs fielderr.List
	out := make([]Query, 0, len(l))
	for i, m := range l {
		q, err := NewQuery(m)
		errs.Add(fielderr.Index(field, i), err)
		out = append(out, q)
	}
	return out, errs.Err()
}

// Match tells whether the query of a request path ("/a?b=c") matches. The first
// parameter of the name counts, undecoded, as in Envoy.
func (m *Query) Match(path []byte, tr *Trace) bool {
	v, found := Param(path, m.name)
	ok := false
	if m.present {
		ok = found == m.want
	} else {
		ok = found && m.text.Match(v)
	}
	if tr != nil {
		m.explain(v, found, ok, tr)
	}
	return ok
}

func (m *Query) explain(v []byte, found, ok bool, tr *Trace) {
	want := m.text.String()
	if m.present {
		want = "absent"
		if m.want {
			want = "present"
		}
	}
	if found {
		tr.Note(ok, "query parameter "+m.name, "is %q, wanted: %s", v, want)
	} else {
		tr.Note(ok, "query parameter "+m.name, "is absent, wanted: %s", want)
	}
}

// SplitPath parts a request path from its query, which begins with "?", and
// drops nothing: a fragment stays with the query.
func SplitPath(p []byte) (path, rest []byte) {
	for i, c := range p {
		if c == '?' || c == '#' {
			return p[:i], p[i:]
		}
	}
	return p, nil
}

// Param finds the first query parameter of a name in a request path.
func Param(path []byte, name string) ([]byte, bool) {
	_, q := SplitPath(path)
	if len(q) == 0 || q[0] != '?' {
		return nil, false
	}
	q = q[1:]
	if i := bytes.IndexByte(q, '#'); i >= 0 {
		q = q[:i]
	}
	for len(q) > 0 {
		one := q
		if i := bytes.IndexByte(q, '&'); i >= 0 {
			one, q = q[:i], q[i+1:]
		} else {
			q = nil
		}
		key, val := one, one[len(one):]
		if i := bytes.IndexByte(one, '='); i >= 0 {
			key, val = one[:i], one[i+1:]
		}
		if string(key) == name {
			return val, true
		}
	}
	return nil, false
}
