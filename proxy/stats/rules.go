package stats

import "regexp"

// Rules are what a configuration says about statistics (Envoy: stats_config).
type Rules struct {
	// Keep says by the full name whether a statistic is shown; nil keeps all
	// (stats_matcher). What is not shown is still counted.
	Keep func(name string) bool
	// Tags are labels taken out of names, besides the default ones (stats_tags).
	Tags []TagRule
	// NoDefaultTags leaves names whole but for Tags (use_all_default_tags: false).
	NoDefaultTags bool
	// Buckets are bounds of histograms by name; the first that matches is used
	// (histogram_bucket_settings).
	Buckets []BucketRule
}

// A TagRule takes a label out of full names: the first group of the expression is
// removed from the name; the second, or the first where there is no second, is the
// label's value.
type TagRule struct {
	Label string
	Regex *regexp.Regexp
}

// A BucketRule gives the upper bounds of the buckets of the histograms that it
// matches by full name, in rising order and without infinity.
type BucketRule struct {
	Match  func(name string) bool
	Bounds []float64
}

// Use sets the rules. It is meant for the start.
func (s *Store) Use(r Rules) { s.rules.Store(&r) }

// current are the rules that were set, or those that change nothing.
func (s *Store) current() *Rules {
	if r := s.rules.Load(); r != nil {
		return r
	}
	return new(Rules)
}

// bounds are the upper bounds of the buckets of a histogram.
func (r *Rules) bounds(name func() string) []float64 {
	if len(r.Buckets) == 0 {
		return buckets[:]
	}
	full := name()
	for _, b := range r.Buckets {
		if b.Match(full) {
			return b.Bounds
		}
	}
	return buckets[:]
}

// take runs the tag rules over a full name, and gives the name that is left, by
// its parts, and the labels. The parts joined with dots are the name; those that
// are left empty are dropped.
func (r *Rules) take(parts []string) (rest []string, labels []label) {
	size := len(parts)
	for _, p := range parts {
		size += len(p)
	}
	name := make([]byte, 0, size)
	for i, p := range parts {
		if i > 0 {
			name = append(name, '.')
		}
		name = append(name, p...)
	}
	var gone []bool
	for _, t := range r.Tags {
		m := t.Regex.FindSubmatchIndex(name)
		if len(m) < 4 || m[2] < 0 {
			continue
		}
		value := name[m[2]:m[3]]
		if len(m) >= 6 && m[4] >= 0 {
			value = name[m[4]:m[5]]
		}
		labels = append(labels, label{name: t.Label, value: string(value)})
		if gone == nil {
			gone = make([]bool, len(name))
		}
		for i := m[2]; i < m[3]; i++ {
			gone[i] = true
		}
	}
	if gone == nil {
		return parts, nil
	}
	at := 0
	for _, p := range parts {
		left := make([]byte, 0, len(p))
		for i := range len(p) {
			if !gone[at+i] {
				left = append(left, p[i])
			}
		}
		if len(left) > 0 {
			rest = append(rest, string(left))
		}
		at += len(p) + 1
	}
	return rest, labels
}
