package accesslog

import (
	"strings"
	"testing"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

func parsed(t testing.TB, yaml string) (Filter, error) {
	t.Helper()
	m := new(accesslogv3.AccessLogFilter)
	if _, err := yamlproto.Unmarshal([]byte(yaml), m, yamlproto.Options{}); err != nil {
		t.Fatal(err)
	}
	return ParseFilter(m, nil)
}

func TestNoFilterIsNil(t *testing.T) {
	if f, err := ParseFilter(nil, nil); f != nil || err != nil {
		t.Errorf("%v, %v", f, err)
	}
}

// TestFilters asks about a request that was answered 503 UF,URX after 100 ms,
// and about its connection, which has NR and took 1.5 s.
func TestFilters(t *testing.T) {
	yes, no := "{status_code_filter: {comparison: {op: EQ, value: {default_value: 503}}}}", "{status_code_filter: {comparison: {op: EQ, value: {default_value: 200}}}}"
	for _, x := range []struct {
		filter              string
		request, connection bool
	}{
		{"status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: k}}}", true, false},
		{"status_code_filter: {comparison: {op: LE, value: {default_value: 499}}}", false, true},
		{"status_code_filter: {comparison: {op: NE, value: {default_value: 503}}}", false, true},
		{"status_code_filter: {comparison: {op: EQ, value: {default_value: 0}}}", false, true},
		{"duration_filter: {comparison: {op: GE, value: {default_value: 101}}}", false, true},
		{"duration_filter: {comparison: {op: EQ, value: {default_value: 100}}}", true, false},
		{"not_health_check_filter: {}", true, true},
		{"and_filter: {filters: [" + yes + ", " + yes + "]}", true, false},
		{"and_filter: {filters: [" + yes + ", " + no + "]}", false, false},
		{"or_filter: {filters: [" + no + ", " + yes + "]}", true, false},
		{"or_filter: {filters: [" + no + ", {or_filter: {filters: [" + no + ", " + no + "]}}]}", false, false},
		{"header_filter: {header: {name: user-agent, string_match: {prefix: curl}}}", true, false},
		{"header_filter: {header: {name: x-none, present_match: false}}", true, true},
		{"response_flag_filter: {flags: [UF, DC]}", true, false},
		{"response_flag_filter: {flags: [DC]}", false, false},
		{"response_flag_filter: {}", true, true},
		{"grpc_status_filter: {statuses: [RESOURCE_EXHAUSTED, OK]}", true, false},
		{"grpc_status_filter: {statuses: [UNKNOWN]}", false, true},
		{"grpc_status_filter: {statuses: [RESOURCE_EXHAUSTED], exclude: true}", false, true},
		{"grpc_status_filter: {}", false, false},
		{"runtime_filter: {runtime_key: k}", false, false},
		{"runtime_filter: {runtime_key: k, percent_sampled: {numerator: 100}}", true, true},
		{"runtime_filter: {runtime_key: k, percent_sampled: {numerator: 1000000, denominator: MILLION}, use_independent_randomness: true}", true, true},
	} {
		f, err := parsed(t, x.filter)
		if err != nil {
			t.Errorf("%s: %v", x.filter, err)
			continue
		}
		c, s := record()
		if got := f.Logs(c, s); got != x.request {
			t.Errorf("%s: logs the request: %v", x.filter, got)
		}
		if got := f.Logs(c, nil); got != x.connection {
			t.Errorf("%s: logs the connection: %v", x.filter, got)
		}
		if n := testing.AllocsPerRun(50, func() { f.Logs(c, s) }); n > 0 {
			t.Errorf("%s: %v allocations", x.filter, n)
		}
	}
}

func TestFiltersOfWhatIsNotThere(t *testing.T) {
	c, s := conn.New(nil), stream.New(stream.NewChain(nil, new(stream.Slots), nil))
	for filter, want := range map[string]bool{
		"duration_filter: {comparison: {op: GE, value: {default_value: 0}}}": false, // never ended
		"response_flag_filter: {}":    false,
		"not_health_check_filter: {}": false,
	} {
		f, err := parsed(t, filter)
		if err != nil {
			t.Fatal(err)
		}
		s.Info = info.Stream{Start: time.Now(), HealthCheck: true}
		if got := f.Logs(c, s); got != want {
			t.Errorf("%s: %v", filter, got)
		}
	}
}

// TestSampleIsStable: a request is in the sample or not, whoever asks and however
// often, and the sample has about the size that is asked for.
func TestSampleIsStable(t *testing.T) {
	share := "runtime_filter: {runtime_key: k, percent_sampled: {numerator: 25}"
	a, err := parsed(t, share+"}")
	if err != nil {
		t.Fatal(err)
	}
	b, err := parsed(t, share+"}")
	if err != nil {
		t.Fatal(err)
	}
	free, err := parsed(t, share+", use_independent_randomness: true}")
	if err != nil {
		t.Fatal(err)
	}
	c, s := record()
	const n = 4000
	sampled, independent, apart := 0, 0, 0
	for i := range n {
		s.SetRand(uint64(i) * 0x9e3779b97f4a7c15)
		in := a.Logs(c, s)
		if in != a.Logs(c, s) || in != b.Logs(c, s) {
			t.Fatalf("request %d is in the sample and is not", i)
		}
		if in {
			sampled++
		}
		if o := free.Logs(c, s); o {
			independent++
			if o != in {
				apart++
			}
		}
	}
	for _, got := range []int{sampled, independent} {
		if got < n*22/100 || got > n*28/100 {
			t.Errorf("%d of %d, wanted about 25 %%", got, n)
		}
	}
	if apart == 0 {
		t.Error("independent randomness draws as the request does")
	}
}

// What a control plane asks for and is not implemented logs everything; the support table says so.
func TestUnsupportedFiltersLogEverything(t *testing.T) {
	for _, x := range []string{"traceable_filter: {}", "extension_filter: {name: x}", "metadata_filter: {}", "log_type_filter: {}"} {
		f, err := parsed(t, x)
		if err != nil || !f.Logs(nil, nil) {
			t.Errorf("%s: %v, %v", x, f, err)
		}
	}
}

func TestRefusedFilters(t *testing.T) {
	for _, x := range []struct{ filter, want string }{
		{"{}", "filter_specifier: unset"},
		{"grpc_status_filter: {statuses: [0, 17]}", "grpc_status_filter.statuses[1]: unknown value 17"},
		{"status_code_filter: {comparison: {op: 9}}", "status_code_filter.comparison.value: unset\nstatus_code_filter.comparison.op: unknown value 9"},
		{"and_filter: {filters: [{not_health_check_filter: {}}]}", "and_filter.filters: 1 filters, wanted at least 2"},
		{
			"or_filter: {filters: [{and_filter: {filters: [{not_health_check_filter: {}}, {}]}}, {header_filter: {header: {name: a b}}}]}",
			"or_filter.filters[0].and_filter.filters[1].filter_specifier: unset\n" +
				"or_filter.filters[1].header_filter.header.name: not a header name: \"a b\"",
		},
		{"response_flag_filter: {flags: [UF, XX]}", `response_flag_filter.flags[1]: "XX" is not a response flag`},
	} {
		_, err := parsed(t, x.filter)
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: error %v, wanted %q in it", x.filter, err, x.want)
		}
	}
}
