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
	// Buckets says how histograms are printed (Envoy: histogram_buckets).
	Buckets Buckets
}

// Buckets is a way to print a histogram.
type Buckets uint8

// The ways. Text and JSON print a summary unless told otherwise, Prometheus
// cumulative buckets; disjoint ones are not for Prometheus.
const (
	BucketsDefault    Buckets = iota
	BucketsCumulative         // how many values are at most each bound
	BucketsDisjoint           // how many values are between a bound and the one before
	BucketsSummary            // quantiles
)

// ParseFilter reads the query parameters of Envoy's /stats and
// /stats/prometheus that choose statistics and their form: usedonly, filter,
// invert_filter, type and histogram_buckets, of which `detailed` and
// `prometheusnative` are refused. Others are the caller's to judge.
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
	switch b := q.Get("histogram_buckets"); b {
	case "":
	case "cumulative":
		f.Buckets = BucketsCumulative
	case "disjoint":
		f.Buckets = BucketsDisjoint
	case "summary":
		f.Buckets = BucketsSummary
	case "detailed", "prometheusnative":
		return Filter{}, fmt.Errorf("histogram_buckets %q: valid in Envoy, not supported here", b)
	default:
		return Filter{}, fmt.Errorf("histogram_buckets %q: want cumulative, disjoint or summary", b)
	}
	return f, nil
}

func (f Filter) keepsKind(k Kind) bool {
	return len(f.Kinds) == 0 || slices.Contains(f.Kinds, k)
}
