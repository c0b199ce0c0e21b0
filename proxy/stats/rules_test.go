package stats

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	f := func(r Rules, want string) {
		t.Helper()
		s := NewStore()
		s.FixTag("fleet", "x")
		s.Use(r)
		a := s.Scope("cluster", "a.b.svc")
		NewCodes(a, "upstream_rq").Count(200)
		s.Scope("cluster", "b").Histogram("t").Record(7)
		s.Scope("http", "in").Gauge("shard.7.active").Set(3)
		var b bytes.Buffer
		if err := s.WritePrometheus(&b, Filter{}); err != nil {
			t.Fatal(err)
		}
		var got []string
		for l := range strings.Lines(b.String()) {
			if !strings.HasPrefix(l, "#") {
				got = append(got, strings.TrimSpace(l))
			}
		}
		if strings.Join(got, "\n") != strings.TrimSpace(want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), want)
		}
	}
	few := func(name string) bool {
		return !strings.HasSuffix(name, "_completed") && !strings.HasSuffix(name, "2xx")
	}
	ten := []BucketRule{{func(n string) bool { return n == "cluster.b.t" }, []float64{5, 10}}}
	f(Rules{Keep: few, Buckets: ten}, `
envoy_cluster_upstream_rq{envoy_response_code="200",fleet="x",envoy_cluster_name="a.b.svc"} 1
envoy_http_shard_7_active{fleet="x",envoy_http_conn_manager_prefix="in"} 3
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="5"} 0
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="10"} 1
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="+Inf"} 1
envoy_cluster_t_sum{fleet="x",envoy_cluster_name="b"} 7
envoy_cluster_t_count{fleet="x",envoy_cluster_name="b"} 1`)
	shard := []TagRule{{"shard", regexp.MustCompile(`^http\..+?\.shard\.((\d+)\.)`)}}
	f(Rules{Keep: few, Buckets: ten, Tags: shard}, `
envoy_cluster_upstream_rq{envoy_response_code="200",fleet="x",envoy_cluster_name="a.b.svc"} 1
envoy_http_shard_active{fleet="x",envoy_http_conn_manager_prefix="in",shard="7"} 3
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="5"} 0
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="10"} 1
envoy_cluster_t_bucket{fleet="x",envoy_cluster_name="b",le="+Inf"} 1
envoy_cluster_t_sum{fleet="x",envoy_cluster_name="b"} 7
envoy_cluster_t_count{fleet="x",envoy_cluster_name="b"} 1`)
	own := []TagRule{
		{"cluster_name", regexp.MustCompile(`^cluster\.((.+?(\..+?\.svc)?)\.)`)},
		{"response_code", regexp.MustCompile(`_rq(_(\d{3}))$`)},
	}
	f(Rules{Keep: few, Buckets: ten, Tags: own, NoDefaultTags: true}, `
envoy_cluster_upstream_rq{fleet="x",cluster_name="a.b.svc",response_code="200"} 1
envoy_http_in_shard_7_active{fleet="x"} 3
envoy_cluster_t_bucket{fleet="x",cluster_name="b",le="5"} 0
envoy_cluster_t_bucket{fleet="x",cluster_name="b",le="10"} 1
envoy_cluster_t_bucket{fleet="x",cluster_name="b",le="+Inf"} 1
envoy_cluster_t_sum{fleet="x",cluster_name="b"} 7
envoy_cluster_t_count{fleet="x",cluster_name="b"} 1`)
}

func TestTexts(t *testing.T) {
	s := NewStore()
	x := s.Scope("control_plane").Text("identifier")
	if got := text(t, s, Filter{UsedOnly: true}); got != "" {
		t.Errorf("unset: got %q", got)
	}
	x.Set(`a "b"`)
	if got := text(t, s, Filter{}); got != "control_plane.identifier: \"a \"b\"\"\n" {
		t.Errorf("got %q", got)
	}
	var js, without, with bytes.Buffer
	_ = s.WriteJSON(&js, Filter{})
	if got := js.String(); got != `{"stats":[{"name":"control_plane.identifier","value":"a \"b\""}]}` {
		t.Errorf("got %s", got)
	}
	_ = s.WritePrometheus(&without, Filter{})
	_ = s.WritePrometheus(&with, Filter{Texts: true})
	if without.String() != "" || with.String() != "# TYPE envoy_control_plane_identifier gauge\nenvoy_control_plane_identifier{text_value=\"a \\\"b\\\"\"} 0\n" {
		t.Errorf("got %q without and %q with texts", without.String(), with.String())
	}
}
