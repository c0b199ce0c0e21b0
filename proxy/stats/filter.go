package stats

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Filter says which statistics to print; the zero Filter prints all.
type Filter struct {
	// UsedOnly leaves out what was never written (Envoy: usedonly).
	UsedOnly bool
	// Match keeps the names it matches anywhere (Envoy: filter); nil keeps all.
	Match *regexp.Regexp
	// Invert keeps the names Match does not match (Envoy: invert_filter).
	Invert bool
	// Kinds keeps only these kinds (Envoy: type); empty keeps all.
	Kinds []Kind
}

// ParseFilter reads the query parameters of Envoy's /stats and
// /stats/prometheus that choose statistics: usedonly, filter, invert_filter
// and type. Others are the caller's to judge.
func ParseFilter(q url.Values) (Filter, error) {
	f := Filter{UsedOnly: q.Has("usedonly"), Invert: q.Has("invert_filter")}
	if expr := q.Get("filter"); expr != "" {
		re, err := regexp.Compile(expr)
		if err != nil {
			return Filter{}, fmt.Errorf("filter %q: %w", expr, err)
		}
		f.Match = re
	}
	switch t := q.Get("type"); strings.ToLower(t) {
	case "", "all":
	case "counters":
		f.Kinds = []Kind{KindCounter}
	case "gauges":
		f.Kinds = []Kind{KindGauge}
	case "histograms":
		f.Kinds = []Kind{KindHistogram}
	default:
		return Filter{}, fmt.Errorf("type %q: want All, Counters, Gauges or Histograms", t)
	}
	return f, nil
}

func (f Filter) keepsKind(k Kind) bool {
	return len(f.Kinds) == 0 || slices.Contains(f.Kinds, k)
}
