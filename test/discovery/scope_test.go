package discovery

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// scoped is a connection manager whose scopes come by SRDS and are chosen by the header x-scope.
func scoped(filters string) string {
	return hcm(`"scoped_routes":{"name":"sr","scope_key_builder":{"fragments":[{"header_value_extractor":{"name":"x-scope","index":0}}]},
		"rds_config_source":{"ads":{}},"scoped_rds":{"scoped_rds_config_source":{"ads":{}}}}`, filters)
}

func (w *world) scope(name, key, route, more string) proto.Message {
	w.t.Helper()
	return w.parse("envoy.config.route.v3.ScopedRouteConfiguration",
		fmt.Sprintf(`{"name":%q,"key":{"fragments":[{"string_key":%q}]},"route_configuration_name":%q%s}`, name, key, route, more))
}

// table answers with a text.
func (w *world) table(name, text string) proto.Message {
	w.t.Helper()
	return w.parse("envoy.config.route.v3.RouteConfiguration", fmt.Sprintf(`{"name":%q,"virtual_hosts":[{"name":"v","domains":["*"],"routes":[
		{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":%q}}}]}]}`, name, text))
}

// Scopes and their routes come, change and go, while the listener and its connections stay.
func TestScopes(t *testing.T) {
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("state of the world %v", sotw), func(t *testing.T) {
			w := newWorld(t, options{sotw: sotw})
			in := w.listener("in", scoped(""))
			f := func(scope string, code int, body string) {
				t.Helper()
				if a := w.ask("in", "a", "/", "x-scope: "+scope); a.code != code || a.body != body {
					t.Errorf("%s: %d %q, want %d %q", scope, a.code, a.body, code, body)
				}
			}
			w.push(in, w.scope("one", "1", "r", ""), w.scope("two", "2", "s", ""), w.table("r", "R"), w.table("s", "S"))
			w.wait("the listener", func() bool { return w.at("in") != "" })
			f("1", 200, "R")
			f("2", 200, "S")
			f("3", 404, "")
			if a := w.ask("in", "a", "/"); a.code != 404 {
				t.Errorf("%d without a key", a.code)
			}
			w.push(in, w.scope("one", "3", "r", ""), w.scope("two", "2", "r", ""), w.table("r", "R2"))
			f("1", 404, "")
			f("2", 200, "R2")
			f("3", 200, "R2")
			w.push(in, w.scope("one", "3", "r", ""), w.scope("six", "3", "r", ""), w.table("r", "R2"))
			w.wait("the refusal", func() bool { return w.plane.refused(`scope "six": key: scope "six" has the same as "one"`) })
			f("2", 404, "")
			if n := w.stat("http.h.downstream_cx_total"); n != 1 {
				t.Errorf("%d connections, want one that stays", n)
			}
			w.wait("the count", func() bool { return w.stat("http.h.scoped_rds.sr.all_scopes") == 1 })
			if d := w.get("/config_dump?resource=dynamic_scoped_route_configs"); !strings.Contains(d, `"string_key": "3"`) || !strings.Contains(d, "has the same as") {
				t.Errorf("config dump:\n%s", d)
			}
			if sotw { // with the incremental protocol nobody sends a refused version again
				w.push(in, w.scope("six", "3", "r", ""), w.table("r", "R2"))
				f("3", 200, "R2")
			}
		})
	}
}
