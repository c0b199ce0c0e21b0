package dropin

import (
	"bytes"
	"cmp"
	"maps"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Rules of Prometheus' style guide that Envoy's own names break; to be scraped by
// what is made for Envoy, so do ours.
var envoyStyle = map[string]string{
	"no help text": "Envoy's statistics have none",
	`counter metrics should have "_total" suffix`:         "Envoy says so only of some counters",
	`non-counter metrics should not have "_total" suffix`: "cluster.<name>.membership_total is a gauge",
	"metric names should not contain abbreviated units":   "Envoy's names end in _ms",
	`use base unit "seconds"`:                             "Envoy counts milliseconds",
}

// scraped is what one metric family has: the series by name of the sample, with
// their labels.
type scraped map[string][]map[string]string

// more is beside bootstrap.yaml: what has statistics only where it is configured.
const more = `
static_resources:
  listeners:
  - name: guarded
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: rbac
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC, stat_prefix: guarded, rules: {}}
      - name: tcp
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: guarded, cluster: more}
  clusters:
  - name: more
    type: STATIC
    health_checks: [{timeout: 1s, interval: 60s, unhealthy_threshold: 1, healthy_threshold: 1, tcp_health_check: {}}]
    circuit_breakers: {thresholds: [{track_remaining: true}]}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config: {"@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext}
    load_assignment: {cluster_name: more, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 1}}}}]}]}
`

// TestPrometheus holds what a process says after traffic to the format, to
// Prometheus' linter, and to the queries of well-known dashboards for Envoy.
func TestPrometheus(t *testing.T) {
	dir := folder(t, origin(t))
	p := start(t, buildWeir(t), dir+"/admin", "-c", dir+"/bootstrap.yaml", "--config-yaml", more, "--concurrency", "2", "--drain-time-s", "1", "-l", "error")
	traffic(t, p)
	text := p.get(t, "/stats/prometheus")
	wellFormed(t, text)
	lint(t, text)
	dashboards(t, parse(t, text))
}

func lint(t *testing.T, text string) {
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	if err != nil {
		t.Fatalf("not valid exposition: %v", err)
	}
	used := map[string]bool{}
next:
	for _, p := range problems {
		for known := range envoyStyle {
			if strings.Contains(p.Text, known) {
				used[known] = true
				continue next
			}
		}
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for known := range envoyStyle {
		if !used[known] {
			t.Errorf("nothing breaks the rule %q", known)
		}
	}
}

// wellFormed looks at what parsers are lenient about: one TYPE line for each
// family, before its series, which stand together and are there once.
func wellFormed(t *testing.T, text string) {
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line does not end")
	}
	family, typed, seen := "", map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			family, _, _ = strings.Cut(rest, " ")
			if typed[family] {
				t.Errorf("%s has two TYPE lines", family)
			}
			typed[family] = true
			continue
		}
		series := line[:max(strings.LastIndexByte(line, ' '), 0)]
		if seen[series] {
			t.Errorf("%s is there twice", series)
		}
		seen[series] = true
		name, _, _ := strings.Cut(series, "{")
		switch strings.TrimPrefix(name, family) {
		case "", "_bucket", "_sum", "_count":
		default:
			t.Errorf("%s stands below # TYPE %s", series, family)
		}
	}
}

// parse reads an exposition with Prometheus' own parser, and holds histograms to
// themselves.
func parse(t *testing.T, text string) scraped {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	all, err := parser.TextToMetricFamilies(bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatalf("not valid exposition: %v", err)
	}
	if len(all) < 100 {
		t.Errorf("only %d families", len(all))
	}
	out := scraped{}
	used := 0
	for name, f := range all {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			if h := m.Histogram; h != nil {
				if h.GetSampleCount() > 0 {
					used++
				}
				buckets(t, name, h)
				out[name+"_sum"] = append(out[name+"_sum"], labels)
				out[name+"_count"] = append(out[name+"_count"], labels)
				labels = maps.Clone(labels)
				labels["le"] = "+Inf" // buckets has seen that it is there
				name += "_bucket"
			}
			out[name] = append(out[name], labels)
			name = f.GetName()
		}
	}
	if used == 0 {
		t.Error("no histogram has a value")
	}
	return out
}

// buckets grow, end with +Inf, and that is the count.
func buckets(t *testing.T, name string, h *dto.Histogram) {
	below, n := math.Inf(-1), uint64(0)
	for _, b := range h.Bucket {
		if b.GetUpperBound() <= below || b.GetCumulativeCount() < n {
			t.Errorf("%s: bucket %v: %d after %v: %d", name, b.GetUpperBound(), b.GetCumulativeCount(), below, n)
		}
		below, n = b.GetUpperBound(), b.GetCumulativeCount()
	}
	if !math.IsInf(below, 1) || n != h.GetSampleCount() {
		t.Errorf("%s: the last bucket is %v: %d; the count %d", name, below, n, h.GetSampleCount())
	}
}

// dashboards holds the series to testdata/dashboards.txt.
func dashboards(t *testing.T, have scraped) {
	b, err := os.ReadFile("testdata/dashboards.txt")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '=' {
			continue
		}
		query, missing, _ := strings.Cut(line, " -- ")
		words := strings.Fields(query)
		err := find(have, words[0], words[1:])
		checked++
		switch {
		case missing == "" && err != "":
			t.Errorf("%s: %s", query, err)
		case missing != "" && err == "":
			t.Errorf("%s is there, though it is listed as missing: %s", query, missing)
		}
	}
	if checked < 100 {
		t.Errorf("only %d queries", checked)
	}
}

// find looks for a series with labels; "" when there is one.
func find(have scraped, name string, labels []string) string {
	series := have[name]
	if len(series) == 0 {
		return "there is no such metric"
	}
	why := ""
next:
	for _, s := range series {
		for _, l := range labels {
			if s[l] == "" {
				why = cmp.Or(why, "no series has the label "+l)
				continue next
			}
		}
		return ""
	}
	return why
}
