package stats

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
)

func TestOutputGolden(t *testing.T) {
	s := world()
	var text, js, prom, indented bytes.Buffer
	for _, err := range []error{s.WriteText(&text, Filter{}), s.WriteJSON(&js, Filter{}), s.WritePrometheus(&prom, Filter{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := json.Indent(&indented, js.Bytes(), "", " "); err != nil {
		t.Fatalf("invalid JSON: %v\n%s", err, js.Bytes())
	}
	golden(t, "stats.txt", text.Bytes())
	golden(t, "stats.json", append(indented.Bytes(), '\n'))
	golden(t, "stats.prom", prom.Bytes())
}

func TestHistogramBuckets(t *testing.T) {
	s := NewStore()
	h := s.Scope("cluster.a").Histogram("t")
	for _, v := range []uint64{0, 4, 43, 48, 7200000} {
		h.Record(v)
	}
	var out bytes.Buffer
	s.Flush()
	h.Record(43)
	h.Record(1234)
	s.Flush()
	for _, mode := range []string{"summary", "cumulative", "disjoint", "detailed"} {
		f, err := ParseFilter(url.Values{"histogram_buckets": {mode}})
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString("== " + mode + "\n")
		if err := s.WriteText(&out, f); err != nil {
			t.Fatal(err)
		}
		var js bytes.Buffer
		if err := s.WriteJSON(&js, f); err != nil || !json.Valid(js.Bytes()) {
			t.Errorf("%s: error %v, JSON %s", mode, err, &js)
		}
		out.WriteString(js.String() + "\n")
		err = s.WritePrometheus(&out, f)
		if (err != nil) != (mode == "disjoint" || mode == "detailed") {
			t.Errorf("%s for Prometheus: %v", mode, err)
		}
	}
	golden(t, "buckets.txt", out.Bytes())
}

func TestEmptyStoreOutput(t *testing.T) {
	s := NewStore()
	s.Scope("cluster.a") // a scope without statistics prints nothing
	var text, js, prom bytes.Buffer
	for _, err := range []error{s.WriteText(&text, Filter{}), s.WriteJSON(&js, Filter{}), s.WritePrometheus(&prom, Filter{})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if text.Len() != 0 || prom.Len() != 0 || js.String() != `{"stats":[]}` {
		t.Errorf("got text %q, JSON %q, Prometheus %q", &text, &js, &prom)
	}
}

func TestFilter(t *testing.T) {
	s := NewStore()
	c := s.Scope("cluster.a")
	c.Counter("hit").Inc()
	c.Counter("miss")
	c.Gauge("active").Inc()
	c.Gauge("active").Dec() // zero now, but used
	c.Gauge("idle")
	c.Histogram("time").Record(1)
	c.Histogram("wait")

	f := func(query, want string) {
		t.Helper()
		q, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		flt, err := ParseFilter(q)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(text(t, s, flt)) {
			name, _, _ := strings.Cut(line, ":")
			names = append(names, strings.TrimPrefix(name, "cluster.a."))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("?%s: got %q, want %q", query, got, want)
		}
	}
	f("", "active hit idle miss time wait")
	f("usedonly", "active hit time")
	f("filter=i[st]", "hit miss wait")
	f("filter=^cluster.a.(hit|idle)$", "hit idle")
	f("filter=hit&invert_filter", "active idle miss time wait")
	f("type=Counters", "hit miss")
	f("type=Gauges&usedonly", "active")
	f("type=histograms", "time wait")
	f("type=All&filter=zzz", "")
}

func TestParseFilterRefuses(t *testing.T) {
	f := func(q url.Values, want string) {
		t.Helper()
		_, err := ParseFilter(q)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got error %v, want one with %q", q, err, want)
		}
	}
	f(url.Values{"filter": {"("}}, "Invalid re2 regex: missing closing ): `(`")
	f(url.Values{"histogram_buckets": {"prometheusnative"}}, `histogram_buckets "prometheusnative": valid in Envoy, not supported here`)
	f(url.Values{"histogram_buckets": {"x"}}, "usage: /stats?histogram_buckets=(cumulative|disjoint|detailed|summary|prometheusnative)")
	f(url.Values{"type": {"Things"}}, "invalid &type= param")
}

type brokenWriter struct{ err error }

func (b brokenWriter) Write([]byte) (int, error) { return 0, b.err }

func TestWriteErrorIsReturned(t *testing.T) {
	s, want := world(), errors.New("pipe is gone")
	w := brokenWriter{want}
	for _, err := range []error{s.WriteText(w, Filter{}), s.WriteJSON(w, Filter{}), s.WritePrometheus(w, Filter{})} {
		if !errors.Is(err, want) {
			t.Errorf("got error %v, want %v", err, want)
		}
	}
}
