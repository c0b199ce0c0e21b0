package stats

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files in testdata")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got; accept with -rewrite):\n%s", file, diff)
	}
}

type clusterStats struct {
	Total   *Counter   `stat:"upstream_rq_total"`
	Active  *Gauge     `stat:"upstream_rq_active"`
	Time    *Histogram `stat:"upstream_rq_time"`
	Breaker struct {
		Open *Gauge `stat:"cx_open"`
	} `stat:"circuit_breakers.default"`
}

// world is a store with something of everything in it.
func world() *Store {
	s := NewStore()
	a := s.Scope("cluster").Scope("a")
	st := Fill[clusterStats](a)
	st.Total.Add(7)
	st.Active.Set(2)
	for v := range uint64(100) {
		st.Time.Record(v)
	}
	st.Time.Record(250)
	st.Time.Record(251)
	codes := NewCodes(a, "upstream_rq")
	codes.Count(200)
	codes.Count(200)
	codes.Count(404)
	codes.Count(999)
	Fill[clusterStats](s.Scope("cluster.outbound|80||b.default.svc.cluster.local")).Total.Inc()

	in := s.Scope("http").Scope("ingress")
	NewCodes(in, "downstream_rq").Count(200)
	in.Counter("downstream_cx_total").Add(3)
	in.Scope("rds").Scope("main.routes").Counter("update_success").Inc()
	in.Counter("user_agent.ios.downstream_rq_total").Inc()
	in.Counter("fault.delays_injected").Inc()

	l := s.Scope("listener").Scope("0.0.0.0:8080")
	l.Counter("downstream_cx_total").Add(3)
	l.Counter("no_filter_chain_match")
	NewCodes(l.Scope("http").Scope("ingress"), "downstream_rq").Count(503)
	l.Counter("ssl.cipher.TLS_AES_128_GCM_SHA256").Inc()

	s.Scope("vhost").Scope("all").Scope("vcluster").Scope("other").Counter("upstream_rq_retry").Inc()
	s.Scope("tcp").Scope("db").Counter("downstream_cx_total").Inc()
	s.Scope("server").Gauge("uptime").Set(5)
	s.Scope("listener_manager").Counter("listener_added").Inc()
	s.Scope("weir.xds").Counter("degraded_fields").Inc()
	s.Scope("cluster").Scope("quo\"te\\ \n").Counter("x-y").Inc()
	return s
}

func text(t *testing.T, s *Store, f Filter) string {
	t.Helper()
	var b bytes.Buffer
	if err := s.WriteText(&b, f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
