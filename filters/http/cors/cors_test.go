package cors_test

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func hcm(policy string) string {
	return `
stat_prefix: test
http_filters:
- name: cors
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors}
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    typed_per_filter_config:
      cors:
        "@type": type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy
        ` + strings.ReplaceAll(strings.TrimSpace(policy), "\n", "\n        ") + `
    routes:
    - match: {prefix: /direct}
      direct_response: {status: 200, body: {inline_string: here}}
    - match: {prefix: /}
      route: {cluster: a}
`
}

const policy = `
allow_origin_string_match: [{exact: "https://a.example"}, {suffix: ".b.example"}]
allow_methods: "GET, PUT"
allow_headers: "x-one, x-two"
expose_headers: x-seen
max_age: "600"
allow_credentials: true
`

// corsFields are the fields of an answer that the filter writes.
func corsFields(h http.Header) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(h)) {
		if strings.HasPrefix(k, "Access-Control-") {
			out = append(out, strings.ToLower(strings.TrimPrefix(k, "Access-Control-"))+": "+strings.Join(h[k], " | "))
		}
	}
	return strings.Join(out, "\n")
}

const allowed = "allow-credentials: true\nallow-origin: https://a.example\nexpose-headers: x-seen"

const preflight = "allow-credentials: true\nallow-headers: x-one, x-two\nallow-methods: GET, PUT\n" +
	"allow-origin: https://a.example\nexpose-headers: x-seen\nmax-age: 600"

func TestAnswers(t *testing.T) {
	ask := []string{"Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "x-three"}
	for _, c := range []struct {
		name, policy, method, path string
		headers                    []string
		served                     bool // by the origin
		fields                     string
		valid, invalid             int64
	}{
		{"no origin", policy, "GET", "/", nil, true, "", 0, 0},
		{"allowed", policy, "GET", "/", []string{"Origin", "https://a.example"}, true, allowed, 1, 0},
		{"by suffix", "allow_origin_string_match: [{suffix: .b.example}]", "GET", "/", []string{"Origin", "https://x.b.example"}, true, "allow-origin: https://x.b.example", 1, 0},
		{"not allowed", policy, "GET", "/", []string{"Origin", "https://c.example"}, true, "", 0, 1},
		{"any", "allow_origin_string_match: [{exact: '*'}]", "GET", "/", []string{"Origin", "null"}, true, "allow-origin: null", 1, 0},
		{"preflight", policy, "OPTIONS", "/", append([]string{"Origin", "https://a.example"}, ask...), false, preflight, 1, 0},
		{"options, no preflight", policy, "OPTIONS", "/", []string{"Origin", "https://a.example"}, true, allowed, 1, 0},
		{"preflight not allowed goes on", policy, "OPTIONS", "/", append([]string{"Origin", "https://c.example"}, ask...), true, "", 0, 1},
		{
			"preflight not allowed is answered", policy + "forward_not_matching_preflights: false", "OPTIONS", "/",
			append([]string{"Origin", "https://c.example"}, ask...), false,
			"allow-credentials: true\nallow-headers: x-one, x-two\nallow-methods: GET, PUT\nmax-age: 600", 0, 1,
		},
		{
			"stars echo", "allow_origin_string_match: [{prefix: https}]\nallow_methods: '*'\nallow_headers: '*'", "OPTIONS", "/",
			append([]string{"Origin", "https://a.example"}, ask...), false,
			"allow-headers: x-three\nallow-methods: PUT\nallow-origin: https://a.example", 1, 0,
		},
		{
			"private network", "allow_origin_string_match: [{prefix: https}]\nallow_private_network_access: true", "OPTIONS", "/",
			append([]string{"Origin", "https://a.example", "Access-Control-Request-Private-Network", "true"}, ask...), false,
			"allow-origin: https://a.example\nallow-private-network: true", 1, 0,
		},
		{
			"not enabled", policy + "filter_enabled: {default_value: {numerator: 0}}", "GET", "/",
			[]string{"Origin", "https://a.example"},
			true, "", 0, 0,
		},
		{
			"shadow only counts", policy + "filter_enabled: {default_value: {numerator: 0}}\nshadow_enabled: {default_value: {numerator: 100}}",
			"GET", "/",
			[]string{"Origin", "https://a.example"},
			true, "", 1, 0,
		},
		{"no route that forwards", policy, "GET", "/direct", []string{"Origin", "https://a.example"}, false, "", 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			served := false
			o := rig.Origin(t, func(http.ResponseWriter, *http.Request) { served = true })
			r := rig.New(t, rig.Options{HCM: hcm(c.policy), Origins: map[string]string{"a": o}})
			a := r.Do(rig.Client(t), c.method, c.path, c.headers...)
			if a.Code != 200 || served != c.served {
				t.Errorf("%d, served by the origin: %v, wanted %v", a.Code, served, c.served)
			}
			if diff := cmp.Diff(c.fields, corsFields(a.Header)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if v, i := r.Stat("http.test.cors.origin_valid"), r.Stat("http.test.cors.origin_invalid"); v != c.valid || i != c.invalid {
				t.Errorf("origin_valid %d, origin_invalid %d; wanted %d, %d", v, i, c.valid, c.invalid)
			}
		})
	}
}

// TestUpstreamsOwnAnswerIsReplaced: two allow-origin fields would make a browser
// refuse both.
func TestUpstreamsOwnAnswerIsReplaced(t *testing.T) {
	o := rig.Origin(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Access-Control-Allow-Origin", "*") })
	r := rig.New(t, rig.Options{HCM: hcm(policy), Origins: map[string]string{"a": o}})
	a := r.Do(rig.Client(t), "GET", "/", "Origin", "https://a.example")
	if diff := cmp.Diff(allowed, corsFields(a.Header)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ policy, want string }{
		{"allow_origin_string_match: [{exact: a}, {prefix: \"\"}]", "allow_origin_string_match[1]"},
		{"allow_methods: \"a\\r\\nb\"", "allow_methods: NUL, CR or LF in a header value"},
		{"filter_enabled: {runtime_key: a}", "filter_enabled"},
	} {
		t.Run(c.policy, func(t *testing.T) {
			_, err := rig.Parse(hcm(c.policy))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted %q in it", err, c.want)
			}
		})
	}
}
