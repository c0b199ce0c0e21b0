package headermutation_test

import (
	"fmt"
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

func hcm(mutations string) string {
	return `
stat_prefix: test
http_filters:
- name: change
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation
    mutations:
      ` + strings.ReplaceAll(strings.TrimSpace(mutations), "\n", "\n      ") + `
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
        change:
          "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute
          mutations:
            request_mutations: [{append: {header: {key: x-route, value: "%REQ(x-a)%"}}}]
            response_mutations: [{remove: x-b}]
    - match: {prefix: /share}
      route:
        weighted_clusters:
          clusters:
          - name: a
            weight: 1
            typed_per_filter_config:
              change:
                "@type": type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutationPerRoute
                mutations:
                  request_mutations: [{append: {header: {key: x-share, value: "1"}}}]
    - match: {prefix: /direct}
      direct_response: {status: 403}
    - match: {prefix: /}
      route: {cluster: a}
`
}

// xFields are the x- fields that tests use, each as often as it is there.
func xFields(h http.Header) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(h)) {
		for _, v := range h[k] {
			if k = strings.ToLower(k); strings.HasPrefix(k, "x-") && !strings.HasPrefix(k, "x-envoy") &&
				!strings.HasPrefix(k, "x-forwarded") && !strings.HasPrefix(k, "x-request") && k != "x-saw" {
				out = append(out, k+"="+v)
			}
		}
	}
	return strings.Join(out, " ")
}

func TestChanges(t *testing.T) {
	for _, c := range []struct {
		name, mutations, path string
		request, response     string
	}{
		{"none", "{}", "/", "x-a=1 x-a=2", "x-b=3"},
		{"append", "request_mutations: [{append: {header: {key: x-a, value: new}}}]", "/", "x-a=1 x-a=2 x-a=new", "x-b=3"},
		{
			"overwrite", "request_mutations: [{append: {header: {key: x-a, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]",
			"/", "x-a=new", "x-b=3",
		},
		{
			"add if absent",
			"response_mutations:\n- append: {header: {key: x-b, value: new}, append_action: ADD_IF_ABSENT}\n" +
				"- append: {header: {key: x-c, value: new}, append_action: ADD_IF_ABSENT}",
			"/", "x-a=1 x-a=2", "x-b=3 x-c=new",
		},
		{"remove", "request_mutations: [{remove: X-A}]\nresponse_mutations: [{remove: x-b}]", "/", "", ""},
		{
			"in order", "request_mutations:\n- append: {header: {key: x-c, value: \"%REQ(x-a)%\"}}\n- remove: x-a\n" +
				"- append: {header: {key: x-d, value: \"%REQ(x-a)%,%REQ(x-c)%\"}}", "/", "x-c=1 x-d=,1", "x-b=3",
		},
		{
			"remove on match", "request_mutations: [{remove_on_match: {key_matcher: {prefix: x-}}}]\n" +
				"response_mutations: [{remove_on_match: {key_matcher: {prefix: x-B, ignore_case: true}}}]", "/", "", "",
		},
		{"the route's after", "request_mutations: [{append: {header: {key: x-a, value: new}, append_action: OVERWRITE_IF_EXISTS_OR_ADD}}]", "/own", "x-a=new x-route=new", ""},
		{"a share's", "{}", "/share", "x-a=1 x-a=2 x-share=1", "x-b=3"},
		{"replies of our own too", "response_mutations: [{append: {header: {key: x-c, value: \"%RESPONSE_CODE%\"}}}]", "/direct", "", "x-c=403"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := rig.Origin(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("x-b", "3")
				w.Header().Set("x-saw", xFields(r.Header))
				if r.Host != "h.example" {
					http.Error(w, fmt.Sprintf("host %q", r.Host), 500)
				}
			})
			r := rig.New(t, rig.Options{HCM: hcm(c.mutations), Origins: map[string]string{"a": o}})
			a := r.Do(rig.Client(t), "GET", c.path, "x-a", "1", "X-A", "2", "Host", "h.example")
			if a.Code >= 500 {
				t.Fatalf("%d %s", a.Code, a.Body)
			}
			if diff := cmp.Diff(c.request, a.Header.Get("x-saw")); diff != "" {
				t.Errorf("request (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(c.response, xFields(a.Header)); diff != "" {
				t.Errorf("response (-want +got)\n%s", diff)
			}
		})
	}
}

func TestRefusedConfigurations(t *testing.T) {
	for _, c := range []struct{ mutations, want string }{
		{"request_mutations: [{remove: ':path'}]", "mutations.request_mutations[0].remove"},
		{"request_mutations: [{append: {header: {key: host, value: a}}}]", "mutations.request_mutations[0].append.header.key"},
		{"response_mutations: [{append: {header: {key: x, value: '%NO%'}}}]", "mutations.response_mutations[0].append.header.value"},
		{"response_mutations: [{remove_on_match: {key_matcher: {prefix: ''}}}]", "mutations.response_mutations[0].remove_on_match.key_matcher"},
		{"query_parameter_mutations: [{remove: a}]", "mutations.query_parameter_mutations: not supported"},
	} {
		t.Run(c.mutations, func(t *testing.T) {
			_, err := rig.Parse(hcm(c.mutations))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, wanted %q in it", err, c.want)
			}
		})
	}
}
