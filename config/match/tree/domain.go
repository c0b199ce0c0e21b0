package tree

import (
	"strings"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

func (d *decoder[A]) domains(at string, from input, m *matcherv3.ServerNameMatcher, depth int) lookup[A] {
	l := &domains[A]{from: from, exact: map[string]*onMatch[A]{}, suffix: map[string]*onMatch[A]{}}
	at += ".domain_matchers"
	if len(m.DomainMatchers) == 0 {
		d.errs.Addf(at, "empty")
	}
	for i, r := range m.DomainMatchers {
		path := fielderr.Index(at, i)
		then := d.onMatch(path+".on_match", r.GetOnMatch(), depth+1)
		if len(r.GetDomains()) == 0 {
			d.errs.Addf(path+".domains", "empty")
		}
		for j, name := range r.GetDomains() {
			if d.size++; d.size > maxSize {
				return l
			}
			if !l.add(name, then, d, fielderr.Index(path+".domains", j)) {
				d.errs.Addf(fielderr.Index(path+".domains", j), "%q is there twice", name)
			}
		}
	}
	return l
}

// add enters one domain; false when it is there already. What is no domain is recorded.
func (l *domains[A]) add(name string, then *onMatch[A], d *decoder[A], at string) bool {
	in, key := l.exact, name
	switch rest, wild := strings.CutPrefix(name, "*."); {
	case name == "*":
		if l.any != nil {
			return false
		}
		l.any = then
		return true
	case name == "":
		d.errs.Addf(at, "empty")
		return true
	case wild && rest != "" && !strings.Contains(rest, "*"):
		in, key = l.suffix, rest
	case strings.Contains(name, "*"):
		d.errs.Addf(at, "%q: a wildcard stands alone or for whole labels at the front, as in *.example.com", name)
		return true
	}
	if _, dup := in[key]; dup {
		return false
	}
	in[key] = then
	return true
}
