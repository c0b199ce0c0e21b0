package stats

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
)

// WriteText prints the statistics as Envoy's /stats does: texts, then counters and
// gauges, then histograms as quantiles (interval,cumulative), each sorted by name.
func (s *Store) WriteText(w io.Writer, f Filter) error {
	views := s.views()
	bw := bufio.NewWriterSize(w, 64<<10)
	var buf []byte
	walkKinds(views, f, []Kind{KindText}, func(sm *sample) {
		buf = append(sm.appendName(buf[:0]), ": \""...)
		bw.Write(append(append(buf, sm.stat.(*Text).Value()...), "\"\n"...))
	})
	walkKinds(views, f, []Kind{KindCounter, KindGauge}, func(sm *sample) {
		buf = append(sm.appendName(buf[:0]), ": "...)
		bw.Write(append(appendValue(buf, sm.stat), '\n'))
	})
	walkKinds(views, f, []Kind{KindHistogram}, func(sm *sample) {
		buf = append(sm.appendName(buf[:0]), ':')
		if f.Buckets != BucketsDetailed {
			buf = append(buf, ' ')
		}
		bw.Write(append(appendHistogramText(buf, sm.stat.(*Histogram), sm.bounds(), f.Buckets), '\n'))
	})
	return bw.Flush() // a bufio.Writer keeps its first error
}

// WriteJSON prints the statistics as Envoy's /stats?format=json does: one
// object per text, counter and gauge, then one that holds all histograms.
func (s *Store) WriteJSON(w io.Writer, f Filter) error {
	views := s.views()
	bw := bufio.NewWriterSize(w, 64<<10)
	bw.WriteString(`{"stats":[`)
	var buf []byte
	sep := ""
	value := func(sm *sample) {
		buf = appendJSON(append(append(buf[:0], sep...), `{"name":`...), sm.appendName(nil))
		buf = appendValue(append(buf, `,"value":`...), sm.stat)
		bw.Write(append(buf, '}'))
		sep = ","
	}
	walkKinds(views, f, []Kind{KindText}, value)
	walkKinds(views, f, []Kind{KindCounter, KindGauge}, value)
	open, closing := histogramsJSON(f.Buckets)
	first := true
	walkKinds(views, f, []Kind{KindHistogram}, func(sm *sample) {
		buf = append(buf[:0], ',')
		if first {
			first = false
			buf = append(append(buf[:0], sep...), open...)
		}
		bw.Write(appendHistogramJSON(buf, sm.appendName(nil), sm.stat.(*Histogram), sm.bounds(), f.Buckets))
	})
	if !first {
		bw.WriteString(closing)
	}
	bw.WriteString("]}")
	return bw.Flush()
}

// appendValue appends the number of a counter or gauge, or a text, as JSON.
func appendValue(buf []byte, st any) []byte {
	switch st := st.(type) {
	case *Counter:
		return strconv.AppendUint(buf, st.Value(), 10)
	case *Gauge:
		return strconv.AppendInt(buf, st.Value(), 10)
	case *Text:
		return appendJSON(buf, []byte(st.Value()))
	default:
		return buf
	}
}

// appendJSON appends a JSON string.
func appendJSON(buf, s []byte) []byte {
	q, err := json.Marshal(string(s))
	if err != nil { // a string always marshals
		return append(buf, `""`...)
	}
	return append(buf, q...)
}
