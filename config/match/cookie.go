package match

import (
	"bytes"
	"errors"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/header"
)

// Cookie is a compiled CookieMatcher. It is immutable.
type Cookie struct {
	name   string
	text   String
	invert bool
}

// NewCookie compiles a CookieMatcher.
func NewCookie(m *routev3.CookieMatcher) (Cookie, error) {
	if m == nil {
		return Cookie{}, errors.New("empty")
	}
	var errs fielderr.List
	if m.Name == "" {
		errs.Addf("name", "empty")
	}
	t, err := NewString(m.StringMatch)
	errs.Add("string_match", err)
	return Cookie{m.Name, t, m.InvertMatch}, errs.Err()
}

// NewCookies compiles a list; field is the name of the list, for paths.
func NewCookies(field string, l []*routev3.CookieMatcher) ([]Cookie, error) {
	var errs fielderr.List
	out := make([]Cookie, 0, len(l))
	for i, m := range l {
		c, err := NewCookie(m)
		errs.Add(fielderr.Index(field, i), err)
		out = append(out, c)
	}
	return out, errs.Err()
}

// Match tells whether the request's cookie matches; an absent one does not, and
// does when inverted (Envoy: CookieMatcher.invert_match).
func (m *Cookie) Match(h *header.Headers, tr *Trace) bool {
	v, found := FindCookie(h, m.name)
	ok := (found && m.text.Match(v)) != m.invert
	if tr != nil {
		not := ""
		if m.invert {
			not = "not "
		}
		if found {
			tr.Note(ok, "cookie "+m.name, "is %q, wanted: %s%s", v, not, m.text.String())
		} else {
			tr.Note(ok, "cookie "+m.name, "is absent, wanted: %s%s", not, m.text.String())
		}
	}
	return ok
}

// cookie is the request header (RFC 6265 §4.2).
var cookie = header.Intern("cookie")

// FindCookie gives the value of the first cookie of a name, without the double
// quotes around it (RFC 6265 §5.4, and Envoy).
func FindCookie(h *header.Headers, name string) ([]byte, bool) {
	for i := h.Index(cookie, 0); i >= 0; i = h.Index(cookie, i+1) {
		_, line := h.At(i)
		for len(line) > 0 {
			one := line
			if j := bytes.IndexByte(line, ';'); j >= 0 {
				one, line = line[:j], line[j+1:]
			} else {
				line = nil
			}
			one = trimSpace(one)
			eq := bytes.IndexByte(one, '=')
			if eq < 0 || string(one[:eq]) != name {
				continue
			}
			v := one[eq+1:]
			if len(v) >= 2 && v[0] == '"' && v[len(v)-1] == '"' {
				v = v[1 : len(v)-1]
			}
			return v, true
		}
	}
	return nil, false
}

// trimSpace drops OWS (RFC 9110 §5.6.3) at both ends.
func trimSpace(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}
