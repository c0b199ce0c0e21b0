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
	views := s.views()
	bw := bufio.NewWriterSize(w, 64<<10)
	var buf []byte
	walkSorted(views, f, func(sm *sample) {
		if sm.kind != KindHistogram {
			buf = append(sm.appendName(buf[:0]), ": "...)
			bw.Write(append(appendValue(buf, sm.stat), '\n'))
		}
	})
	walkSorted(views, f, func(sm *sample) {
		h, ok := sm.stat.(*Histogram)
		if !ok {
			return
		}
		buf = append(sm.appendName(buf[:0]), ": "...)
		if !h.Used() {
			bw.Write(append(buf, "No recorded values\n"...))
			return
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
	})
	return bw.Flush() // a bufio.Writer keeps its first error
}

// WriteJSON prints the statistics as Envoy's /stats?format=json does: one
// object per counter and gauge, then one that holds all histograms.
func (s *Store) WriteJSON(w io.Writer, f Filter) error {
	views := s.views()
	bw := bufio.NewWriterSize(w, 64<<10)
	bw.WriteString(`{"stats":[`)
	var buf []byte
	sep := ""
	walkSorted(views, f, func(sm *sample) {
		if sm.kind != KindHistogram {
			buf = appendJSON(append(append(buf[:0], sep...), `{"name":`...), sm.appendName(nil))
			buf = appendValue(append(buf, `,"value":`...), sm.stat)
			bw.Write(append(buf, '}'))
			sep = ","
		}
	})
	first := true
	walkSorted(views, f, func(sm *sample) {
		h, ok := sm.stat.(*Histogram)
		if !ok {
			return
		}
		buf = append(buf[:0], ',')
		if first {
			first = false
			buf = append(append(buf[:0], sep...), `{"histograms":{"supported_quantiles":[`...)
			for i, q := range quantiles {
				if i > 0 {
					buf = append(buf, ',')
				}
				buf = appendFloat(buf, q)
			}
			buf = append(buf, `],"computed_quantiles":[`...)
		}
		bw.Write(appendQuantiles(buf, sm.appendName(nil), h))
	})
	if !first {
		bw.WriteString(`]}}`)
	}
	bw.WriteString("]}")
	return bw.Flush()
}

// appendValue appends the number of a counter or gauge.
func appendValue(buf []byte, st any) []byte {
	switch st := st.(type) {
	case *Counter:
		return strconv.AppendUint(buf, st.Value(), 10)
	case *Gauge:
		return strconv.AppendInt(buf, st.Value(), 10)
	default:
		return buf
	}
}

// appendQuantiles appends one histogram; what has no value is null, as in Envoy.
func appendQuantiles(buf, name []byte, h *Histogram) []byte {
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

func appendJSON(buf, s []byte) []byte {
	q, err := json.Marshal(string(s))
	if err != nil { // a string always marshals
		return append(buf, `""`...)
	}
	return append(buf, q...)
}
