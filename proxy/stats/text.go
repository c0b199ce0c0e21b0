package stats

import (
	"bufio"
	"encoding/json"
	"io"
	"strconv"
)

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
		bw.Write(append(appendHistogramText(buf, h, f.Buckets), '\n'))
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
	open, closing := histogramsJSON(f.Buckets)
	first := true
	walkSorted(views, f, func(sm *sample) {
		h, ok := sm.stat.(*Histogram)
		if !ok {
			return
		}
		buf = append(buf[:0], ',')
		if first {
			first = false
			buf = append(append(buf[:0], sep...), open...)
		}
		bw.Write(appendHistogramJSON(buf, sm.appendName(nil), h, f.Buckets))
	})
	if !first {
		bw.WriteString(closing)
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

// appendJSON appends a JSON string.
func appendJSON(buf, s []byte) []byte {
	q, err := json.Marshal(string(s))
	if err != nil { // a string always marshals
		return append(buf, `""`...)
	}
	return append(buf, q...)
}
