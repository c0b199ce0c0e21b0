package route

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/weirproxy/weir/proxy/header"
)

// forwardOf decodes one route action, written as a YAML flow mapping.
func forwardOf(t *testing.T, vhost, action string) *Forward {
	t.Helper()
	return decodeYAML(t, `
name: t
virtual_hosts:
- name: v
  domains: ["*"]
  `+vhost+`
  routes:
  - match: {prefix: "/"}
    route: `+action+"\n").VirtualHosts[0].Routes[0].Forward
}

func TestDefaultsAreEnvoys(t *testing.T) {
	f := forwardOf(t, "", "{cluster: c}")
	if f.Timeouts != (Timeouts{Route: 15 * time.Second}) || f.Retry != nil || f.NotFoundCode != 503 || f.High {
		t.Errorf("%+v", f)
	}
	rp := forwardOf(t, "", "{cluster: c, retry_policy: {retry_on: 5xx}}").Retry
	want := &RetryPolicy{
		On: On5xx, NumRetries: 1, BackOffBase: 25 * time.Millisecond, BackOffMax: 250 * time.Millisecond,
		HostAttempts: 1, ResetMax: 300 * time.Second,
	}
	if diff := cmp.Diff(want, rp, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestTimeoutsAndPolicies(t *testing.T) {
	f := forwardOf(t, "", `
      cluster: c
      timeout: 0s
      idle_timeout: 0s
      max_stream_duration: {max_stream_duration: 3s, grpc_timeout_header_max: 4s, grpc_timeout_header_offset: 0.5s}
      priority: HIGH
      append_x_forwarded_host: true
      auto_host_rewrite: true
      upgrade_configs: [{upgrade_type: WebSocket}, {upgrade_type: foo, enabled: false}]
      hash_policy:
      - {header: {header_name: X-User, regex_rewrite: {pattern: {regex: "^(.).*"}, substitution: "\\1"}}, terminal: true}
      - {cookie: {name: sid, ttl: 0s, path: /}}
      - {connection_properties: {source_ip: true}}
      - {query_parameter: {name: q}}
      retry_policy:
        retry_on: " gateway-error, canceled ,unavailable"
        num_retries: 0
        per_try_timeout: 1s
        per_try_idle_timeout: 2s
        retry_host_predicate: [{name: envoy.retry_host_predicates.previous_hosts}]
        host_selection_retry_max_attempts: 5
        retriable_status_codes: [503, 409]
        retry_back_off: {base_interval: 0.0001s}
        rate_limited_retry_back_off: {reset_headers: [{name: Retry-After}, {name: X-RateLimit-Reset, format: UNIX_TIMESTAMP}], max_interval: 9s}
        retriable_headers: [{name: x-retry}]
        retriable_request_headers: [{name: ":method", string_match: {exact: GET}}]`)
	if diff := cmp.Diff(Timeouts{
		IdleSet: true, OfStream: true, MaxStreamDuration: 3 * time.Second, MaxStreamSet: true,
		GrpcTimeoutHeaderMax: 4 * time.Second, GrpcTimeoutHeaderSet: true, GrpcTimeoutHeaderOffs: 500 * time.Millisecond,
	}, f.Timeouts); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]Upgrade{{Type: "websocket", Enabled: true}, {Type: "foo"}}, f.Upgrades); diff != "" {
		t.Error(diff)
	}
	if !f.High || !f.AppendXFH || !f.Rewrite.AutoHost || f.Rewrite.Path() {
		t.Errorf("%+v", f)
	}
	h := f.HashPolicy
	if len(h) != 4 || h[0].Header != header.Intern("x-user") || !h[0].Terminal || string(h[0].HeaderRegex.Append(nil, []byte("bob"))) != "b" ||
		h[1].Cookie != "sid" || !h[1].CookieTTLSet || h[1].CookiePath != "/" || !h[2].SourceIP || h[3].QueryParam != "q" {
		t.Errorf("%+v", h)
	}
	rp := f.Retry
	if rp.On != OnGatewayError|OnGrpcCancelled|OnGrpcUnavailable || rp.NumRetries != 0 || rp.PerTry != time.Second ||
		rp.PerTryIdle != 2*time.Second || !rp.PreviousHosts || rp.HostAttempts != 5 || rp.BackOffBase != time.Millisecond ||
		rp.BackOffMax != 10*time.Millisecond || rp.ResetMax != 9*time.Second || len(rp.Headers) != 1 || len(rp.RequestHeaders) != 1 {
		t.Errorf("%+v", rp)
	}
	if len(rp.ResetHeaders) != 2 || rp.ResetHeaders[0].Unix || !rp.ResetHeaders[1].Unix {
		t.Errorf("%+v", rp.ResetHeaders)
	}
}

func TestDeprecatedGrpcTimeouts(t *testing.T) {
	f := forwardOf(t, "", "{cluster: c, max_grpc_timeout: 2s, grpc_timeout_offset: 1s}")
	if diff := cmp.Diff(Timeouts{Route: 15 * time.Second, MaxGrpc: 2 * time.Second, MaxGrpcSet: true, GrpcOffset: time.Second}, f.Timeouts); diff != "" {
		t.Error(diff)
	}
	// As in Envoy, the route timeout does not hold beside max_stream_duration.
	f = forwardOf(t, "", "{cluster: c, timeout: 5s, max_stream_duration: {}}")
	if diff := cmp.Diff(Timeouts{OfStream: true}, f.Timeouts); diff != "" {
		t.Error(diff)
	}
}

func TestRetryPolicyOfTheVirtualHost(t *testing.T) {
	vhost := "retry_policy: {retry_on: connect-failure, num_retries: 7}"
	if rp := forwardOf(t, vhost, "{cluster: c}").Retry; rp == nil || rp.NumRetries != 7 {
		t.Errorf("not inherited: %+v", rp)
	}
	if rp := forwardOf(t, vhost, "{cluster: c, retry_policy: {}}").Retry; rp == nil || rp.On != 0 || rp.NumRetries != 1 {
		t.Errorf("merged rather than replaced: %+v", rp)
	}
}

func TestBufferLimitOfRouteAndVirtualHost(t *testing.T) {
	table := decodeYAML(t, `
name: t
virtual_hosts:
- name: v
  domains: ["*"]
  per_request_buffer_limit_bytes: 10
  include_request_attempt_count: true
  include_attempt_count_in_response: true
  routes:
  - {match: {prefix: /a}, route: {cluster: a}}
  - {match: {prefix: /b}, route: {cluster: b}, request_body_buffer_limit: 0}
  - {match: {prefix: /c}, route: {weighted_clusters: {clusters: [{name: a, weight: 1}, {name: z, weight: 0}]}}}
- {name: w, domains: [w], routes: [{match: {prefix: /}, route: {cluster: y}}]}
validate_clusters: false
`)
	v, w := table.VirtualHosts[0], table.VirtualHosts[1]
	if v.Routes[0].BufferLimit != 10 || v.Routes[1].BufferLimit != 0 || w.Routes[0].BufferLimit != -1 {
		t.Error("buffer limits")
	}
	if !v.IncludeRequestAttemptCount || !v.IncludeAttemptCountInResponse || w.IncludeRequestAttemptCount {
		t.Error("attempt counts")
	}
	if !table.ValidateClustersSet || table.ValidateClusters {
		t.Error("validate_clusters")
	}
	if got := strings.Join(table.Clusters(), " "); got != "a b z y" {
		t.Errorf("clusters %s", got)
	}
}

func TestRetryOnOfARequest(t *testing.T) {
	for _, c := range []struct {
		in   string
		grpc bool
		want RetryOn
	}{
		{"5xx", false, On5xx},
		{" reset ,\tconnect-failure,nonsense,,", false, OnReset | OnConnectFailure},
		{"cancelled", false, 0},
		{"cancelled,5xx", true, OnGrpcCancelled},
		{"", true, 0},
	} {
		if got := RetryOnHeader([]byte(c.in), c.grpc); got != c.want {
			t.Errorf("%q: %b, want %b", c.in, got, c.want)
		}
	}
	in := []byte("5xx,reset,connect-failure,refused-stream")
	if n := testing.AllocsPerRun(100, func() { RetryOnHeader(in, false) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestEveryRetryTokenIsAccepted(t *testing.T) {
	var all RetryOn
	for _, tok := range retryTokens {
		on, err := ParseRetryOn(tok.name)
		if err != nil || on == 0 {
			t.Errorf("%s: %v", tok.name, err)
		}
		all |= on
	}
	if all != OnGrpcUnavailable<<1-1 {
		t.Errorf("some condition has no name: %b", all)
	}
}
