package streams

import (
	"io"
	"net/http"
	"testing"

	"github.com/weirproxy/weir/test/rig"
)

// TestScopesOfStreamsUsedAgain asks twice on one HTTP/2 connection, whose second request uses the memory of the first: it has a scope
// of its own.
func TestScopesOfStreamsUsedAgain(t *testing.T) {
	scope := func(key string) string {
		return `{name: ` + key + `, key: {fragments: [{string_key: ` + key + `}]}, route_configuration: {name: ` + key + `, virtual_hosts: [
			{name: v, domains: ["*"], routes: [{match: {prefix: /}, direct_response: {status: 200, body: {inline_string: ` + key + `}}}]}]}}`
	}
	r := rig.New(t, rig.Options{HCM: `
stat_prefix: h
http_filters: [$router]
scoped_routes:
  name: s
  scope_key_builder: {fragments: [{header_value_extractor: {name: x-scope, index: 0}}]}
  scoped_route_configurations_list: {scoped_route_configurations: [` + scope("one") + `, ` + scope("two") + `]}`})
	c := rig.ClientH2C(t)
	for range 3 {
		for _, want := range []string{"one", "two"} {
			req, err := http.NewRequest("GET", "http://"+r.Addr+"/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("x-scope", want)
			resp, err := c.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != 200 || string(got) != want || err != nil {
				t.Errorf("%s: %d %q, %v", want, resp.StatusCode, got, err)
			}
		}
	}
}
