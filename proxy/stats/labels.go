package stats

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// configured stands for a name from configuration in the parts of a shape. It
// equals no word of a pattern: a cluster may well be called `http`.
const configured = "\x00"

// A tagCache remembers what became of names, while one page is printed: all
// clusters have one shape, and the statistics of a shape are few.
type tagCache struct {
	shapes map[string]*shape
	fixed  []label // on every statistic
}

// shape is a scope with its configured names taken out.
type shape struct {
	parts []string
	fixed []label
	known map[string]*tags     // by name within the scope
	sets  map[string]*labelSet // so that equal sets are one pointer
}

// tags is what becomes of a name in a shape.
type tags struct {
	metric string
	labels *labelSet
}

type labelSet []label

// label is a Prometheus label; its value is a name of the scope or fixed.
type label struct {
	name  string
	value string
	from  int // which configured name, counted from 1; 0: value
}

// shape returns the shape of a scope and the configured names in it.
func (c *tagCache) shape(path []string) (sh *shape, values []string) {
	var parts []string
	for _, name := range path {
		if name != "" {
			parts = appendScope(parts, name)
		}
	}
	for i := range parts {
		if named(parts[:i]) && !(i == 1 && parts[0] == "listener" && parts[i] == adminListener) && !(i == 3 && parts[0] == "http" && parts[2] == "rbac" && parts[i] == policyScope) {
			values = append(values, parts[i])
			parts[i] = configured
		}
	}
	id := strings.Join(parts, ".")
	if c.shapes[id] == nil {
		c.shapes[id] = &shape{parts: parts, fixed: c.fixed, known: make(map[string]*tags), sets: make(map[string]*labelSet)}
	}
	return c.shapes[id], values
}

// tags is what becomes of a name in a view. Rules of a configuration look at the
// whole name, so that nothing can be remembered for the shape.
func (v *view) tags(s *shape, c *tagCache, name string) *tags {
	if len(v.rules.Tags) == 0 && !v.rules.NoDefaultTags {
		return s.tags(name)
	}
	var parts []string
	for _, p := range v.path {
		if p != "" {
			parts = appendScope(parts, p)
		}
	}
	rest, own := v.rules.take(append(parts, strings.Split(name, ".")...))
	var labels []label
	if !v.rules.NoDefaultTags && len(rest) > 0 {
		rest, labels = extractTags(rest)
	}
	labels = slices.DeleteFunc(labels, func(l label) bool { return hasLabel(own, l.name) })
	labels = append(labels, own...)
	labels = addFixed(labels, c.fixed)
	set := labelSet(labels)
	return &tags{metricName(rest), &set}
}

// addFixed adds labels that every statistic has, after the response code, as Envoy
// prints them.
func addFixed(labels, fixed []label) []label {
	at := 0
	if len(labels) > 0 && strings.HasPrefix(labels[0].name, "envoy.response_code") {
		at = 1
	}
	for _, f := range fixed {
		n := len(labels)
		if labels = withLabel(labels, at, f); len(labels) > n {
			at++
		}
	}
	return labels
}

// withLabel adds a label, unless there is one of that name.
func withLabel(labels []label, at int, l label) []label {
	if hasLabel(labels, l.name) {
		return labels
	}
	return slices.Insert(labels, at, l)
}

func hasLabel(labels []label, name string) bool {
	return slices.ContainsFunc(labels, func(l label) bool { return promName(l.name) == promName(name) })
}

func (s *shape) tags(name string) *tags {
	t := s.known[name]
	if t == nil {
		rest, labels := extractTags(append(slices.Clip(s.parts), strings.Split(name, ".")...))
		labels = addFixed(labels, s.fixed)
		id := fmt.Sprint(labels)
		if s.sets[id] == nil {
			set := labelSet(labels)
			s.sets[id] = &set
		}
		t = &tags{metricName(rest), s.sets[id]}
		s.known[name] = t
	}
	return t
}

// text renders the labels with the configured names of one scope.
func (l labelSet) text(values []string) string {
	var b []byte
	for i, lb := range l {
		if i > 0 {
			b = append(b, ',')
		}
		value := lb.value
		if lb.from > 0 {
			value = values[lb.from-1]
		}
		b = append(append(b, promName(lb.name)...), `="`...)
		b = appendLabelValue(b, value)
		b = append(b, '"')
	}
	return string(b)
}

// appendLabelValue escapes as the text format 0.0.4 asks.
func appendLabelValue(b []byte, s string) []byte {
	for _, r := range s { // a byte that is not UTF-8 comes as U+FFFD
		switch r {
		case '\\', '"':
			b = append(b, '\\', byte(r))
		case '\n':
			b = append(b, '\\', 'n')
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return b
}

// metricName joins what is left of a name, in the characters Prometheus allows.
func metricName(parts []string) string {
	prefix := "envoy_"
	if len(parts) > 1 && parts[0] == "weir" {
		prefix = ""
	}
	return prefix + promName(strings.Join(parts, "_"))
}

func promName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			b[i] = '_'
		}
	}
	return string(b)
}
