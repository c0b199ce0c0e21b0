package stats

import (
	"math"
	"strconv"
)

// quantiles are the ones Envoy prints, in per cent.
var quantiles = [...]float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// eachBucket calls visit with every bound of DefaultBuckets and its count.
func (s Summary) eachBucket(mode Buckets, visit func(i int, le float64, n uint64)) {
	var before uint64
	for i, le := range buckets {
		n := s.AtMost(le)
		if mode == BucketsDisjoint {
			visit(i, le, n-before)
		} else {
			visit(i, le, n)
		}
		before = n
	}
}

// appendHistogramText appends what /stats prints after the name: quantiles or
// buckets as (interval,cumulative).
func appendHistogramText(buf []byte, h *Histogram, mode Buckets) []byte {
	if !h.Used() {
		return append(buf, "No recorded values"...)
	}
	sum := h.Summary()
	if mode == BucketsCumulative || mode == BucketsDisjoint {
		sum.eachBucket(mode, func(i int, le float64, n uint64) {
			if i > 0 {
				buf = append(buf, ' ')
			}
			buf = append(appendFloat(append(buf, 'B'), le), "(nan,"...)
			buf = append(strconv.AppendUint(buf, n, 10), ')')
		})
		return buf
	}
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = append(appendFloat(append(buf, 'P'), q), "(nan,"...)
		buf = append(appendQuantile(buf, sum.Quantile(q/100)), ')')
	}
	return buf
}

// histogramsJSON returns what stands before and after all histograms in JSON.
func histogramsJSON(mode Buckets) (open, closing string) {
	if mode == BucketsCumulative || mode == BucketsDisjoint {
		return `{"histograms":[`, `]}`
	}
	buf := []byte(`{"histograms":{"supported_quantiles":[`)
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendFloat(buf, q)
	}
	return string(append(buf, `],"computed_quantiles":[`...)), `]}}`
}

// appendHistogramJSON appends one histogram; what has no value is null, as in
// Envoy.
func appendHistogramJSON(buf, name []byte, h *Histogram, mode Buckets) []byte {
	buf = appendJSON(append(buf, `{"name":`...), name)
	sum := h.Summary()
	if mode == BucketsCumulative || mode == BucketsDisjoint {
		buf = append(buf, `,"buckets":[`...)
		sum.eachBucket(mode, func(i int, le float64, n uint64) {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendFloat(append(buf, `{"upper_bound":`...), le)
			buf = strconv.AppendUint(append(buf, `,"interval":null,"cumulative":`...), n, 10)
			buf = append(buf, '}')
		})
		return append(buf, "]}"...)
	}
	buf = append(buf, `,"values":[`...)
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, `{"cumulative":`...)
		if sum.Count == 0 {
			buf = append(buf, "null"...)
		} else {
			buf = appendQuantile(buf, sum.Quantile(q/100))
		}
		buf = append(buf, `,"interval":null}`...)
	}
	return append(buf, "]}"...)
}

// appendQuantile appends a quantile to three decimals; interpolation in binary
// fractions makes no sense beyond that.
func appendQuantile(buf []byte, v float64) []byte {
	return appendFloat(buf, math.Round(v*1000)/1000)
}

// appendFloat appends the shortest decimal form, without an exponent.
func appendFloat(buf []byte, v float64) []byte {
	return strconv.AppendFloat(buf, v, 'f', -1, 64)
}
