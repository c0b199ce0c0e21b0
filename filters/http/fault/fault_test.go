package fault_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hcm has the fault filter with the given configuration, and routes: /own has a
// configuration of its own, /off switches the filter off, /b goes elsewhere.
func hcm(fault string) string {
	return `
stat_prefix: test
http_filters:
- name: fault
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
` + indent(fault, "    ") + `
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - match: {prefix: /own}
      route: {cluster: a}
      typed_per_filter_config:
        fault:
          "@type": type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
          abort: {http_status: 418, percentage: {numerator: 100}}
    - match: {prefix: /off}
      route: {cluster: a}
      typed_per_filter_config:
        fault: {"@type": type.googleapis.com/envoy.config.route.v3.FilterConfig, disabled: true}
    - match: {prefix: /b}
      route: {cluster: b}
    - match: {prefix: /}
      route: {cluster: a}
`
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by)
}

func origins(t testing.TB) map[string]string {
	o := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("served")) })
	return map[string]string{"a": o, "b": o}
}

const abort503 = "abort: {http_status: 503, percentage: {numerator: 100}}"

func TestWhichRequestsAreAborted(t *testing.T) {
	for _, c := range []struct {
		name, fault, path string
		headers           []string
		code              int
	}{
		{"all", abort503, "/", nil, 503},
		{"none by default", "abort: {http_status: 503}", "/", nil, 200},
		{"none of zero percent", "abort: {http_status: 503, percentage: {numerator: 0, denominator: MILLION}}", "/", nil, 200},
		{"whole million", "abort: {http_status: 404, percentage: {numerator: 1000000, denominator: MILLION}}", "/", nil, 404},
		{"the route's instead", abort503, "/own", nil, 418},
		{"not where it is disabled", abort503, "/off", nil, 200},
		{"of one cluster", abort503 + "\nupstream_cluster: b", "/b", nil, 503},
		{"not of the other", abort503 + "\nupstream_cluster: b", "/", nil, 200},
		{"with a header", abort503 + "\nheaders: [{name: x-fault, string_match: {exact: yes}}]", "/", []string{"x-fault", "yes"}, 503},
		{"not without it", abort503 + "\nheaders: [{name: x-fault, string_match: {exact: yes}}]", "/", nil, 200},
		{"from a node", abort503 + "\ndownstream_nodes: [n1, n2]", "/", []string{"x-envoy-downstream-service-node", "n2"}, 503},
		{"not from another", abort503 + "\ndownstream_nodes: [n1, n2]", "/", []string{"x-envoy-downstream-service-node", "n3"}, 200},
		{"not from nobody", abort503 + "\ndownstream_nodes: [n1]", "/", nil, 200},
		{"no room for a fault", abort503 + "\nmax_active_faults: 0", "/", nil, 200},
		{"by header", "abort: {header_abort: {}, percentage: {numerator: 100}}", "/", []string{"x-envoy-fault-abort-request", "409"}, 409},
		{"by header, none", "abort: {header_abort: {}, percentage: {numerator: 100}}", "/", nil, 200},
		{"by header, not a status", "abort: {header_abort: {}, percentage: {numerator: 100}}", "/", []string{"x-envoy-fault-abort-request", "600"}, 200},
		{
			"by header, lowered to nothing", "abort: {header_abort: {}, percentage: {numerator: 100}}", "/",
			[]string{"x-envoy-fault-abort-request", "409", "x-envoy-fault-abort-request-percentage", "0"},
			200,
		},
		{
			"by header, cannot be raised", "abort: {header_abort: {}, percentage: {numerator: 0}}", "/",
			[]string{"x-envoy-fault-abort-request", "409", "x-envoy-fault-abort-request-percentage", "100"},
			200,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, rig.Options{HCM: hcm(c.fault), Origins: origins(t)})
			a := r.Do(rig.Client(t), "GET", c.path, c.headers...)
			want := "served"
			if c.code != 200 {
				want = "fault filter abort"
			}
			if a.Code != c.code || a.Body != want {
				t.Errorf("%d %q, wanted %d %q", a.Code, a.Body, c.code, want)
			}
			aborts := int64(0)
			if c.code != 200 {
				aborts = 1
			}
			if n := r.Stat("http.test.fault.aborts_injected"); n != aborts {
				t.Errorf("aborts_injected %d", n)
			}
			r.Await("http.test.fault.active_faults", 0)
		})
	}
}

func TestDelayThenServe(t *testing.T) {
	for _, c := range []struct {
		name, fault string
		headers     []string
		least       time.Duration
	}{
		{"fixed", "delay: {fixed_delay: 0.03s, percentage: {numerator: 100}}", nil, 30 * time.Millisecond},
		{
			"by header", "delay: {header_delay: {}, percentage: {numerator: 100}}",
			[]string{"x-envoy-fault-delay-request", "20"},
			20 * time.Millisecond,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, rig.Options{HCM: hcm(c.fault), Origins: origins(t)})
			start := time.Now()
			a := r.Do(rig.Client(t), "GET", "/", c.headers...)
			if d := time.Since(start); a.Code != 200 || a.Body != "served" || d < c.least {
				t.Errorf("%d %q after %v", a.Code, a.Body, d)
			}
			if n := r.Stat("http.test.fault.delays_injected"); n != 1 {
				t.Errorf("delays_injected %d", n)
			}
		})
	}
}

func TestAbortAfterDelayIsOneFault(t *testing.T) {
	r := rig.New(t, rig.Options{
		HCM:     hcm("delay: {fixed_delay: 0.001s, percentage: {numerator: 100}}\nmax_active_faults: 1\n" + abort503),
		Origins: origins(t),
	})
	if a := r.Do(rig.Client(t), "GET", "/"); a.Code != 503 {
		t.Errorf("%d %q", a.Code, a.Body)
	}
	for name, want := range map[string]int64{"delays_injected": 1, "aborts_injected": 1, "faults_overflow": 0, "active_faults": 0} {
		r.Await("http.test.fault."+name, want)
	}
}

// TestShare: about the share that is asked for, each request on its own.
func TestShare(t *testing.T) {
	r := rig.New(t, rig.Options{HCM: hcm("abort: {http_status: 503, percentage: {numerator: 30}}"), Origins: origins(t)})
	c := rig.Client(t)
	const n = 400
	aborted := 0
	for range n {
		if r.Do(c, "GET", "/").Code == 503 {
			aborted++
		}
	}
	if aborted < n*20/100 || aborted > n*40/100 {
		t.Errorf("%d of %d aborted, wanted about 30 %%", aborted, n)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ fault, want string }{
		{"abort: {grpc_status: 17}", "abort.grpc_status: unknown value 17"},
		{"response_rate_limit: {fixed_limit: {limit_kbps: 1}}", "response_rate_limit: not supported"},
		{"headers: [{name: \"a b\"}]", "headers[0]"},
		{"delay: {percentage: {numerator: 1}}", "delay.fault_delay_secifier: value is required"},
		{"abort: {http_status: 100}", "abort.http_status: value must be inside range"},
	} {
		t.Run(c.fault, func(t *testing.T) {
			_, err := rig.Parse(hcm(c.fault))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted %q in it", err, c.want)
			}
		})
	}
}

// TestAbortsOfGRPC: a grpc-status, and for others the HTTP status that stands for it.
func TestAbortsOfGRPC(t *testing.T) {
	const whole = ", percentage: {numerator: 100}}"
	for _, c := range []struct {
		fault, contentType string
		headers            []string
		code               int
		grpc, body         string
	}{
		{"abort: {grpc_status: 5" + whole, "application/grpc", nil, 200, "5", ""},
		{"abort: {grpc_status: 5" + whole, "text/plain", nil, 404, "", "fault filter abort"},
		{"abort: {http_status: 503" + whole, "application/grpc", nil, 200, "14", ""},
		{"abort: {header_abort: {}" + whole, "application/grpc", []string{"x-envoy-fault-abort-grpc-request", "8"}, 200, "8", ""},
		{"abort: {header_abort: {}" + whole, "text/plain", []string{"x-envoy-fault-abort-grpc-request", "8"}, 429, "", "fault filter abort"},
		{"abort: {header_abort: {}" + whole, "application/grpc", []string{"x-envoy-fault-abort-request", "401", "x-envoy-fault-abort-grpc-request", "8"}, 200, "16", ""},
	} {
		r := rig.New(t, rig.Options{HCM: hcm(c.fault), Origins: origins(t)})
		a := r.Do(rig.Client(t), "POST", "/", append([]string{"content-type", c.contentType}, c.headers...)...)
		if a.Code != c.code || a.Header.Get("grpc-status") != c.grpc || a.Body != c.body {
			t.Errorf("%s, %s %v: %d %v %q", c.fault, c.contentType, c.headers, a.Code, a.Header, a.Body)
		}
	}
}
