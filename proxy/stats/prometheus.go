package stats

import (
	"bufio"
	"cmp"
	"io"
	"slices"
	"strconv"
	"strings"
)

// DefaultBuckets returns the upper bounds (`le`) of Prometheus histograms, in
// the unit of the statistic. (Envoy: stats_config.histogram_bucket_settings.)
func DefaultBuckets() []float64 { return slices.Clone(buckets[:]) }

var buckets = [...]float64{
	0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000,
	30000, 60000, 300000, 600000, 1800000, 3600000,
}

// series is a statistic under its Prometheus name.
type series struct {
	metric string
	labels string // `a="x",b="y"`
	sample
}

// WritePrometheus prints the statistics in Prometheus' text format (0.0.4)
// under the names and labels Envoy's default tag extraction gives them:
// counters, then gauges, then histograms. Names under the scope `weir` keep
// that prefix instead of `envoy`.
func (s *Store) WritePrometheus(w io.Writer, f Filter) error {
	all := s.series(f)
	bw := bufio.NewWriterSize(w, 64<<10)
	kinds := make(map[string]Kind) // a metric name may have one type only
	for i := 0; i < len(all); {
		kind, metric := all[i].kind, all[i].metric
		end := i + 1
		for end < len(all) && all[end].kind == kind && all[end].metric == metric {
			end++
		}
		name := metric
		for k, taken := kinds[name]; taken && k != kind; k, taken = kinds[name] {
			name += "_" + kind.String()
		}
		kinds[name] = kind
		bw.WriteString("# TYPE " + name + " " + kind.String() + "\n")
		for i < end {
			same := i + 1
			for same < end && all[same].labels == all[i].labels {
				same++
			}
			writeSeries(bw, name, all[i:same])
			i = same
		}
	}
	return bw.Flush()
}

// series returns what the filter keeps, sorted by kind, metric and labels.
func (s *Store) series(f Filter) []series {
	samples := s.collect(f)
	all := make([]series, len(samples))
	parts := make(map[*view][]string)
	ids := make(map[string]string) // shares equal strings among 10,000 clusters
	intern := func(id string) string {
		if have, ok := ids[id]; ok {
			return have
		}
		ids[id] = id
		return id
	}
	for i, sm := range samples {
		scope, ok := parts[sm.from]
		if !ok {
			for _, name := range sm.from.path {
				scope = appendScope(scope, name)
			}
			parts[sm.from] = scope
		}
		rest, labels := extractTags(append(scope[:len(scope):len(scope)], strings.Split(sm.key.name, ".")...))
		all[i] = series{intern(metricName(rest)), intern(labelText(labels)), sm}
	}
	slices.SortFunc(all, func(a, b series) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.metric, b.metric),
			cmp.Compare(a.labels, b.labels))
	})
	return all
}

// writeSeries prints one series. Names that differ only in characters
// Prometheus forbids end up as the same series; their values are added.
func writeSeries(bw *bufio.Writer, name string, same []series) {
	labels := same[0].labels
	var buf []byte
	line := func(suffix, extra string, value []byte) {
		bw.WriteString(name)
		bw.WriteString(suffix)
		bw.WriteByte('{')
		bw.WriteString(labels)
		if labels != "" && extra != "" {
			bw.WriteByte(',')
		}
		bw.WriteString(extra)
		bw.WriteString("} ")
		bw.Write(value)
		bw.WriteByte('\n')
	}
	switch same[0].kind {
	case KindCounter:
		var n uint64
		for _, sr := range same {
			n += sr.stat.(*Counter).Value()
		}
		line("", "", strconv.AppendUint(buf, n, 10))
	case KindGauge:
		var n int64
		for _, sr := range same {
			n += sr.stat.(*Gauge).Value()
		}
		line("", "", strconv.AppendInt(buf, n, 10))
	default:
		sum := same[0].stat.(*Histogram).Summary()
		for _, sr := range same[1:] {
			sum.merge(sr.stat.(*Histogram).Summary())
		}
		for _, le := range buckets {
			bound := string(appendFloat(nil, le))
			line("_bucket", `le="`+bound+`"`, strconv.AppendUint(buf[:0], sum.AtMost(le), 10))
		}
		count := strconv.AppendUint(nil, sum.Count, 10)
		line("_bucket", `le="+Inf"`, count)
		line("_sum", "", strconv.AppendUint(buf[:0], sum.Sum, 10))
		line("_count", "", count)
	}
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

func labelText(labels []label) string {
	var sb strings.Builder
	for i, l := range labels {
		if i > 0 {
			sb.WriteByte(',')
		}
		sb.WriteString(promName(l.name))
		sb.WriteString(`="`)
		labelEscaper.WriteString(&sb, strings.ToValidUTF8(l.value, "\uFFFD"))
		sb.WriteByte('"')
	}
	return sb.String()
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
