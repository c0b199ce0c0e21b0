package localratelimit_test

import (
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const always = "{default_value: {numerator: 100}}"

// hcm has the filter with the given configuration, and for /own another.
func hcm(limit, own string) string {
	perRoute := ""
	if own != "" {
		perRoute = `
      typed_per_filter_config:
        limit:
          "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
` + indent(own, "          ")
	}
	return `
stat_prefix: test
http_filters:
- name: limit
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
` + indent(limit, "    ") + `
- name: router
  typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
route_config:
  virtual_hosts:
  - name: v
    domains: ["*"]
    routes:
    - match: {prefix: /own}
      route: {cluster: a}` + perRoute + `
    - match: {prefix: /}
      route: {cluster: a}
`
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n"+by)
}

func limit(more string) string {
	return "stat_prefix: lim\nfilter_enabled: " + always + "\nfilter_enforced: " + always +
		"\ntoken_bucket: {max_tokens: 2, tokens_per_fill: 2, fill_interval: 3600s}\n" + more
}

// echo answers with the request's x-limited field.
func origins(t testing.TB) map[string]string {
	return map[string]string{"a": rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-saw", r.Header.Get("x-limited"))
	})}
}

func TestTokens(t *testing.T) {
	for _, c := range []struct {
		name, limit, own, path string
		codes                  string
		counts                 string // enabled, enforced, rate_limited, ok; under lim or, of own, o
	}{
		{"two, then none", limit(""), "", "/", "200 200 429 429", "4 2 2 2"},
		{"another status", limit("status: {code: 503}"), "", "/", "200 200 503", "3 1 1 2"},
		{"a status that is no error", limit("status: {code: 204}"), "", "/", "200 200 429", "3 1 1 2"},
		{"no bucket", "stat_prefix: lim\nfilter_enabled: " + always + "\nfilter_enforced: " + always, "", "/", "200 200 200", "3 0 0 3"},
		{"not enabled", "stat_prefix: lim\ntoken_bucket: {max_tokens: 1, fill_interval: 3600s}", "", "/", "200 200 200", "-1 -1 -1 -1"},
		{
			"not enforced", "stat_prefix: lim\nfilter_enabled: " + always + "\ntoken_bucket: {max_tokens: 1, fill_interval: 3600s}",
			"", "/", "200 200 200", "3 0 2 1",
		},
		{"one for each connection", limit("local_rate_limit_per_downstream_connection: true"), "", "/", "200 200 429", "3 1 1 2"},
		{
			"the route's own", "stat_prefix: lim", strings.Replace(limit(""), "lim", "o", 1), "/own", "200 200 429", "3 1 1 2",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := rig.New(t, rig.Options{HCM: hcm(c.limit, c.own), Origins: origins(t)})
			cl := rig.Client(t)
			for i, want := range strings.Fields(c.codes) {
				a := r.Do(cl, "GET", c.path)
				if got := http.StatusText(a.Code); a.Code != code(want) {
					t.Errorf("request %d: %d %s, wanted %s", i, a.Code, got, want)
				}
				if a.Code >= 400 && a.Body != "local_rate_limited" {
					t.Errorf("request %d: body %q", i, a.Body)
				}
			}
			prefix := "lim"
			if c.own != "" {
				prefix = "o"
			}
			counts := strings.Fields(c.counts)
			for i, name := range []string{"enabled", "enforced", "rate_limited", "ok"} {
				want := int64(code(counts[i]))
				if n := r.Stat(prefix + ".http_local_rate_limit." + name); n != want {
					t.Errorf("%s %d, wanted %d", name, n, want)
				}
			}
		})
	}
}

func code(s string) int {
	n, neg := 0, false
	for _, c := range s {
		if c == '-' {
			neg = true
			continue
		}
		n = n*10 + int(c-'0')
	}
	if neg {
		return -n
	}
	return n
}

func TestEachConnectionHasItsTokens(t *testing.T) {
	r := rig.New(t, rig.Options{
		HCM: hcm(limit("local_rate_limit_per_downstream_connection: true"), ""), Origins: origins(t),
	})
	for range 3 {
		c := rig.Client(t)
		for i, want := range []int{200, 200, 429} {
			if a := r.Do(c, "GET", "/"); a.Code != want {
				t.Errorf("request %d of a connection: %d, wanted %d", i, a.Code, want)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	const one = "\ntoken_bucket: {max_tokens: 1, fill_interval: 3600s}"
	r := rig.New(t, rig.Options{
		HCM: hcm("stat_prefix: lim\nfilter_enabled: "+always+one+
			"\nrequest_headers_to_add_when_not_enforced: [{header: {key: x-limited, value: 'yes'}}]", `
stat_prefix: o
filter_enabled: `+always+`
filter_enforced: `+always+one+`
enable_x_ratelimit_headers: DRAFT_VERSION_03
response_headers_to_add: [{header: {key: x-why, value: "%REQ(:METHOD)%"}}]
`), Origins: origins(t),
	})
	c := rig.Client(t)
	for i, want := range []string{"", "yes"} {
		if a := r.Do(c, "GET", "/"); a.Code != 200 || a.Header.Get("x-saw") != want {
			t.Errorf("request %d: %d, the origin saw x-limited %q, wanted %q", i, a.Code, a.Header.Get("x-saw"), want)
		}
	}
	for i, want := range [][5]string{{"200", "1", "0", "3600", ""}, {"429", "1", "0", "3600", "GET"}} {
		a := r.Do(c, "GET", "/own")
		h := a.Header
		got := [5]string{want[0], h.Get("x-ratelimit-limit"), h.Get("x-ratelimit-remaining"), h.Get("x-ratelimit-reset"), h.Get("x-why")}
		if a.Code != code(want[0]) || got != want {
			t.Errorf("request %d: %d %q, wanted %q", i, a.Code, got, want)
		}
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ limit, own, want string }{
		{limit("descriptors: [{entries: [{key: a, value: b}], token_bucket: {max_tokens: 1, fill_interval: 1s}}]"), "", "descriptors: not supported (supported: token_bucket)"},
		{limit("stage: 1"), "", "stage: not supported"},
		{limit("always_consume_default_token_bucket: false"), "", "always_consume_default_token_bucket: not supported"},
		{"stat_prefix: lim\ntoken_bucket: {max_tokens: 1, fill_interval: 0.049s}", "", "local rate limit token bucket fill timer must be >= 50ms"},
		{"stat_prefix: lim\ntoken_bucket: {max_tokens: 0, fill_interval: 1s}", "", "token_bucket.max_tokens: "},
		{"stat_prefix: lim", "stat_prefix: o", "local rate limit token bucket must be set for per filter configs"},
		{limit("response_headers_to_add: [{header: {key: x, value: \"%NO%\"}}]"), "", "response_headers_to_add[0].header.value"},
	} {
		t.Run(c.want, func(t *testing.T) {
			_, err := rig.Parse(hcm(c.limit, c.own))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted %q in it", err, c.want)
			}
		})
	}
}

func TestGRPC(t *testing.T) {
	for more, want := range map[string]string{"": "14", "rate_limited_as_resource_exhausted: true": "8"} {
		r := rig.New(t, rig.Options{HCM: hcm(strings.Replace(limit(more), "max_tokens: 2, tokens_per_fill: 2", "max_tokens: 1", 1), ""), Origins: origins(t)})
		c := rig.Client(t)
		r.Do(c, "POST", "/")
		a := r.Do(c, "POST", "/", "content-type", "application/grpc")
		if a.Code != 200 || a.Header.Get("grpc-status") != want || a.Header.Get("grpc-message") != "local_rate_limited" {
			t.Errorf("%q: %d %v", more, a.Code, a.Header)
		}
		if a = r.Do(c, "POST", "/"); a.Code != 429 || a.Header.Get("grpc-status") != "" {
			t.Errorf("%q, not gRPC: %d %v", more, a.Code, a.Header)
		}
	}
}
