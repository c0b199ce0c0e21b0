package stats

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"slices"
	"strconv"
)

// DefaultBuckets returns the upper bounds (`le`) of Prometheus histograms, in
// the unit of the statistic. (Envoy: stats_config.histogram_bucket_settings.)
func DefaultBuckets() []float64 { return slices.Clone(buckets[:]) }

var buckets = [...]float64{
	0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000,
	30000, 60000, 300000, 600000, 1800000, 3600000,
}

// family is what Prometheus prints under one TYPE line.
type family struct {
	name   string
	kind   Kind
	series []series
}

type series struct {
	labels string // `a="x",b="y"`
	stat   any
	bounds []float64 // of a histogram
}

// rank is the place of a kind on Envoy's Prometheus page.
func (k Kind) rank() int {
	return [...]int{KindCounter: 0, KindGauge: 1, KindText: 2, KindHistogram: 3}[k]
}

// WritePrometheus prints the statistics in Prometheus' text format (0.0.4)
// under the names and labels Envoy's default tag extraction gives them:
// counters, then gauges, then histograms. Names under the scope `weir` keep
// that prefix instead of `envoy`.
func (s *Store) WritePrometheus(w io.Writer, f Filter) error {
	if f.Buckets == BucketsDisjoint || f.Buckets == BucketsDetailed {
		return errors.New("unsupported prometheus histogram bucket mode") // Envoy's words
	}
	bw := bufio.NewWriterSize(w, 64<<10)
	kinds := make(map[string]Kind) // a metric name may have one type only
	for _, fam := range families(s.views(), s.fixedTags(), f) {
		name := fam.name
		for k, taken := kinds[name]; taken && k != fam.kind; k, taken = kinds[name] {
			name += "_" + fam.kind.word()
		}
		kinds[name] = fam.kind
		typ := fam.kind.String()
		if fam.kind == KindHistogram && f.Buckets == BucketsSummary {
			typ = "summary"
		}
		bw.WriteString("# TYPE " + name + " " + typ + "\n")
		for all := fam.series; len(all) > 0; {
			n := 1
			for n < len(all) && all[n].labels == all[0].labels {
				n++
			}
			writeSeries(bw, name, fam.kind, f.Buckets, all[:n])
			all = all[n:]
		}
	}
	return bw.Flush()
}

// withText adds the label that holds a text.
func withText(labels, value string) string {
	b := []byte(labels)
	if labels != "" {
		b = append(b, ',')
	}
	return string(append(appendLabelValue(append(b, `text_value="`...), value), '"'))
}

// families returns what the filter keeps, sorted by kind, name and labels.
func families(views []*view, fixed []label, f Filter) []*family {
	type id struct {
		name string
		kind Kind
	}
	byID := make(map[id]*family)
	known := tagCache{shapes: make(map[string]*shape), fixed: fixed}
	for _, v := range views {
		shape, values := known.shape(v.path)
		var last *labelSet // most statistics of a scope have the same labels
		var text string
		v.each(f, func(sm sample) {
			if sm.kind == KindText && !f.Texts {
				return
			}
			tags := v.tags(shape, &known, sm.name)
			if tags.labels != last {
				last, text = tags.labels, tags.labels.text(values)
			}
			labels := text
			if t, ok := sm.stat.(*Text); ok {
				labels = withText(text, t.Value())
			}
			key := id{tags.metric, sm.kind}
			fam := byID[key]
			if fam == nil {
				fam = &family{name: key.name, kind: key.kind}
				byID[key] = fam
			}
			sr := series{labels: labels, stat: sm.stat}
			if sm.kind == KindHistogram {
				sr.bounds = sm.bounds()
			}
			fam.series = append(fam.series, sr)
		})
	}
	all := make([]*family, 0, len(byID))
	for _, fam := range byID {
		slices.SortStableFunc(fam.series, func(a, b series) int { return cmp.Compare(a.labels, b.labels) })
		all = append(all, fam)
	}
	slices.SortFunc(all, func(a, b *family) int {
		return cmp.Or(cmp.Compare(a.kind.rank(), b.kind.rank()), cmp.Compare(a.name, b.name))
	})
	return all
}

// writeSeries prints one series. Names that differ only in characters
// Prometheus forbids end up as the same series; their values are added.
func writeSeries(bw *bufio.Writer, name string, kind Kind, mode Buckets, same []series) {
	open := func(suffix, label, value string) { // up to the number
		bw.WriteString(name)
		bw.WriteString(suffix)
		bw.WriteByte('{')
		bw.WriteString(same[0].labels)
		if label != "" {
			if same[0].labels != "" {
				bw.WriteByte(',')
			}
			bw.WriteString(label)
			bw.WriteString(`="`)
			bw.WriteString(value)
			bw.WriteByte('"')
		}
		bw.WriteString("} ")
	}
	line := func(suffix, label, value string, n uint64) {
		open(suffix, label, value)
		bw.Write(append(strconv.AppendUint(bw.AvailableBuffer(), n, 10), '\n'))
	}
	switch kind {
	case KindCounter:
		var n uint64
		for _, sr := range same {
			n += sr.stat.(*Counter).Value()
		}
		line("", "", "", n)
	case KindText:
		line("", "", "", 0)
	case KindGauge:
		var n int64
		for _, sr := range same {
			n += sr.stat.(*Gauge).Value()
		}
		open("", "", "")
		bw.Write(append(strconv.AppendInt(bw.AvailableBuffer(), n, 10), '\n'))
	default:
		sum := same[0].stat.(*Histogram).Summary()
		for _, sr := range same[1:] {
			sum.merge(sr.stat.(*Histogram).Summary())
		}
		if mode == BucketsSummary {
			for _, q := range quantiles {
				open("", "quantile", string(appendQuantile(nil, q/100)))
				bw.Write(append(appendQuantile(bw.AvailableBuffer(), sum.Quantile(q/100)), '\n'))
			}
		} else {
			sum.eachBucket(same[0].bounds, BucketsCumulative, func(_ int, le float64, n uint64) {
				line("_bucket", "le", string(appendFloat(nil, le)), n)
			})
			line("_bucket", "le", "+Inf", sum.Count)
		}
		line("_sum", "", "", sum.Sum)
		line("_count", "", "", sum.Count)
	}
}
