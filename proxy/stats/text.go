package stats

import (
	"bufio"
	"encoding/json"
	"io"
	"math"
	"strconv"
)

// quantiles are the ones Envoy prints, in per cent.
var quantiles = [...]float64{0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100}

// WriteText prints the statistics as Envoy's /stats does: counters and gauges
// sorted by name, then histograms as quantiles (interval,cumulative).
func (s *Store) WriteText(w io.Writer, f Filter) error {
	samples := s.collect(f)
	bw := bufio.NewWriterSize(w, 64<<10)
	var buf []byte
	for _, sm := range samples {
		buf = append(append(buf[:0], sm.name...), ": "...)
		switch st := sm.stat.(type) {
		case *Counter:
			buf = strconv.AppendUint(buf, st.Value(), 10)
		case *Gauge:
			buf = strconv.AppendInt(buf, st.Value(), 10)
		default:
			continue
		}
		bw.Write(append(buf, '\n'))
	}
	for _, sm := range samples {
		h, ok := sm.stat.(*Histogram)
		if !ok {
			continue
		}
		buf = append(append(buf[:0], sm.name...), ": "...)
		if !h.Used() {
			bw.Write(append(buf, "No recorded values\n"...))
			continue
		}
		sum := h.Summary()
		for i, q := range quantiles {
			if i > 0 {
				buf = append(buf, ' ')
			}
			buf = appendFloat(append(buf, 'P'), q)
			buf = appendQuantile(append(buf, "(nan,"...), sum.Quantile(q/100))
			buf = append(buf, ')')
		}
		bw.Write(append(buf, '\n'))
	}
	return bw.Flush() // a bufio.Writer keeps its first error
}

// WriteJSON prints the statistics as Envoy's /stats?format=json does: one
// object per counter and gauge, then one that holds all histograms.
func (s *Store) WriteJSON(w io.Writer, f Filter) error {
	samples := s.collect(f)
	bw := bufio.NewWriterSize(w, 64<<10)
	bw.WriteString(`{"stats":[`)
	var buf []byte
	sep := ""
	for _, sm := range samples {
		buf = append(appendJSON(append(append(buf[:0], sep...), `{"name":`...), sm.name), `,"value":`...)
		switch st := sm.stat.(type) {
		case *Counter:
			buf = strconv.AppendUint(buf, st.Value(), 10)
		case *Gauge:
			buf = strconv.AppendInt(buf, st.Value(), 10)
		default:
			continue
		}
		bw.Write(append(buf, '}'))
		sep = ","
	}
	first := true
	for _, sm := range samples {
		h, ok := sm.stat.(*Histogram)
		if !ok {
			continue
		}
		if first {
			buf = append(append(buf[:0], sep...), `{"histograms":{"supported_quantiles":[`...)
			for i, q := range quantiles {
				if i > 0 {
					buf = append(buf, ',')
				}
				buf = appendFloat(buf, q)
			}
			buf = append(buf, `],"computed_quantiles":[`...)
			first = false
		} else {
			buf = append(buf[:0], ',')
		}
		bw.Write(appendQuantiles(buf, sm.name, h))
	}
	if !first {
		bw.WriteString(`]}}`)
	}
	bw.WriteString("]}")
	return bw.Flush()
}

// appendQuantiles appends one histogram; what has no value is null, as in Envoy.
func appendQuantiles(buf []byte, name string, h *Histogram) []byte {
	buf = append(appendJSON(append(buf, `{"name":`...), name), `,"values":[`...)
	sum := h.Summary()
	for i, q := range quantiles {
		if i > 0 {
			buf = append(buf, ',')
		}
		buf = append(buf, `{"interval":null,"cumulative":`...)
		if sum.Count == 0 {
			buf = append(buf, "null"...)
		} else {
			buf = appendQuantile(buf, sum.Quantile(q/100))
		}
		buf = append(buf, '}')
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

func appendJSON(buf []byte, s string) []byte {
	q, err := json.Marshal(s)
	if err != nil { // a string always marshals
		return append(buf, `""`...)
	}
	return append(buf, q...)
}
