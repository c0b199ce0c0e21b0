package stats

import (
	"math"
	"strconv"
)

// quantiles are the ones Envoy prints, in per cent.
var quantiles = [...]float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// eachBucket calls visit with every bound and its count.
func (s Summary) eachBucket(bounds []float64, mode Buckets, visit func(i int, le float64, n uint64)) {
	var before uint64
	for i, le := range bounds {
		n := s.AtMost(le)
		if mode == BucketsDisjoint {
			visit(i, le, n-before)
		} else {
			visit(i, le, n)
		}
		before = n
	}
}

// counts are the numbers of eachBucket.
func (s Summary) counts(bounds []float64, mode Buckets) []uint64 {
	out := make([]uint64, len(bounds))
	s.eachBucket(bounds, mode, func(i int, _ float64, n uint64) { out[i] = n })
	return out
}

// appendHistogramText appends what /stats prints after the name: quantiles or
// buckets as (interval,cumulative).
func appendHistogramText(buf []byte, h *Histogram, bounds []float64, mode Buckets) []byte {
	switch {
	case mode == BucketsDetailed:
		now, interval := h.Summary(), h.Interval()
		buf = now.appendBins(append(buf, "\n  totals="...))
		buf = interval.appendBins(append(buf, "\n  intervals="...))
		buf = append(buf, "\n  summary="...)
		return appendHistogramText(buf, h, bounds, BucketsSummary)
	case !h.Used():
		return append(buf, "No recorded values"...)
	}
	sum, last := h.Summary(), h.Interval()
	if mode == BucketsCumulative || mode == BucketsDisjoint {
		interval := last.counts(bounds, mode)
		sum.eachBucket(bounds, mode, func(i int, le float64, n uint64) {
			if i > 0 {
				buf = append(buf, ' ')
			}
			buf = append(appendShort(append(buf, 'B'), le), '(')
			buf = append(strconv.AppendUint(buf, interval[i], 10), ',')
			buf = append(strconv.AppendUint(buf, n, 10), ')')
		})
		return buf
	}
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ' ')
		}
		buf = append(appendFloat(append(buf, 'P'), q), '(')
		if last.Count == 0 {
			buf = append(buf, "nan"...)
		} else {
			buf = appendShort(buf, last.Quantile(q/100))
		}
		buf = append(appendShort(append(buf, ','), sum.Quantile(q/100)), ')')
	}
	return buf
}

// appendBins appends the bins as Envoy does: low,width:count.
func (s Summary) appendBins(buf []byte) []byte {
	for i, b := range s.Bins {
		if i > 0 {
			buf = append(buf, ", "...)
		}
		buf = append(appendShort(buf, b.Low), ',')
		buf = append(appendShort(buf, b.width()), ':')
		buf = strconv.AppendUint(buf, b.Count, 10)
	}
	return buf
}

// width is the width of a bin; one of an integer of its own is 1 wide, but that
// of 0, as in Envoy.
func (b Bin) width() float64 {
	if b.Low == b.High && b.Low > 0 {
		return 1
	}
	return b.High - b.Low
}

// histogramsJSON returns what stands before and after all histograms in JSON.
func histogramsJSON(mode Buckets) (open, closing string) {
	names := [2]string{"supported_quantiles", "computed_quantiles"}
	switch mode {
	case BucketsCumulative, BucketsDisjoint:
		return `{"histograms":[`, `]}`
	case BucketsDetailed:
		names = [2]string{"supported_percentiles", "details"}
	}
	buf := []byte(`{"histograms":{"` + names[0] + `":[`)
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendFloat(buf, q)
	}
	return string(append(buf, `],"`+names[1]+`":[`...)), `]}}`
}

// appendHistogramJSON appends one histogram; what has no value is null, as in
// Envoy.
func appendHistogramJSON(buf, name []byte, h *Histogram, bounds []float64, mode Buckets) []byte {
	buf = appendJSON(append(buf, `{"name":`...), name)
	sum, last := h.Summary(), h.Interval()
	switch mode {
	case BucketsCumulative, BucketsDisjoint:
		interval := last.counts(bounds, mode)
		buf = append(buf, `,"buckets":[`...)
		sum.eachBucket(bounds, mode, func(i int, le float64, n uint64) {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = appendFloat(append(buf, `{"upper_bound":`...), le)
			buf = strconv.AppendUint(append(buf, `,"interval":`...), interval[i], 10)
			buf = strconv.AppendUint(append(buf, `,"cumulative":`...), n, 10)
			buf = append(buf, '}')
		})
		return append(buf, "]}"...)
	case BucketsDetailed:
		buf = sum.appendBinsJSON(append(buf, `,"totals":[`...))
		buf = last.appendBinsJSON(append(buf, `],"intervals":[`...))
		buf = append(buf, `],"percentiles":[`...)
	default:
		buf = append(buf, `,"values":[`...)
	}
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = sum.appendQuantileJSON(append(buf, `{"cumulative":`...), q)
		buf = last.appendQuantileJSON(append(buf, `,"interval":`...), q)
		buf = append(buf, '}')
	}
	return append(buf, "]}"...)
}

func (s Summary) appendBinsJSON(buf []byte) []byte {
	for i, b := range s.Bins {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = appendFloat(append(buf, `{"lower_bound":`...), b.Low)
		buf = appendFloat(append(buf, `,"width":`...), b.width())
		buf = strconv.AppendUint(append(buf, `,"count":`...), b.Count, 10)
		buf = append(buf, '}')
	}
	return buf
}

func (s Summary) appendQuantileJSON(buf []byte, q float64) []byte {
	if s.Count == 0 {
		return append(buf, "null"...)
	}
	return appendQuantile(buf, s.Quantile(q/100))
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

// appendShort appends six significant digits, as Envoy's text does.
func appendShort(buf []byte, v float64) []byte {
	return strconv.AppendFloat(buf, v, 'g', 6, 64)
}
