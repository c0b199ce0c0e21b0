package stats

import (
	"errors"
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
	// Texts shows texts to Prometheus too, as gauges with a label (Envoy:
	// text_readouts).
	Texts bool
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
	BucketsDetailed           // every bin, and quantiles
)

// bucketsUsage is what Envoy answers to a mode it does not know.
const bucketsUsage = "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)\n"

// ParseFilter reads the query parameters of Envoy's /stats and
// /stats/prometheus that choose statistics and their form: usedonly, filter,
// invert_filter, type, histogram_buckets, of which `prometheusnative` is refused,
// and text_readouts. Others are the caller's to judge. Errors are in Envoy's words.
func ParseFilter(q url.Values) (Filter, error) {
	f := Filter{UsedOnly: q.Has("usedonly"), Invert: q.Has("invert_filter"), Texts: q.Has("text_readouts")}
	if expr := q.Get("filter"); expr != "" {
		re, err := regexp.Compile(expr)
		if err != nil {
			return Filter{}, BadRegex(err)
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
	case "textreadouts":
		f.Kinds = []Kind{KindText}
	default:
		return Filter{}, errors.New("invalid &type= param")
	}
	switch b := q.Get("histogram_buckets"); b {
	case "":
	case "cumulative":
		f.Buckets = BucketsCumulative
	case "disjoint":
		f.Buckets = BucketsDisjoint
	case "summary":
		f.Buckets = BucketsSummary
	case "detailed":
		f.Buckets = BucketsDetailed
	case "prometheusnative":
		return Filter{}, fmt.Errorf("histogram_buckets %q: valid in Envoy, not supported here", b)
	default:
		//lint:ignore ST1005 Envoy's words
		return Filter{}, errors.New(bucketsUsage)
	}
	return f, nil
}

// BadRegex says of an expression what Envoy says of it.
func BadRegex(err error) error {
	return errors.New("Invalid re2 regex: " + strings.TrimPrefix(err.Error(), "error parsing regexp: "))
}

func (f Filter) keepsKind(k Kind) bool {
	return len(f.Kinds) == 0 || slices.Contains(f.Kinds, k)
}
