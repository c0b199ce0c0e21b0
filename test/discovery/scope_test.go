package discovery

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
)

// scoped is a connection manager whose scopes come by SRDS and are chosen by the header x-scope.
func scoped(filters string) string { return scopedFrom(`{"ads":{}}`, `{"ads":{}}`, filters) }

// scopedFrom is one whose scopes and their routes come from sources of their own.
func scopedFrom(scopes, routes, filters string) string {
	return hcm(`"scoped_routes":{"name":"sr","scope_key_builder":{"fragments":[{"header_value_extractor":{"name":"x-scope","index":0}}]},
		"rds_config_source":`+routes+`,"scoped_rds":{"scoped_rds_config_source":`+scopes+`}}`, filters)
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
			w.http.MaxConnsPerHost = 1 // a request waits until the client has the connection back from the one before
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
			// With the incremental protocol nobody sends a refused version again: it is kept.
			w.push(in, w.scope("six", "3", "r", ""), w.table("r", "R2"))
			w.wait("the one that was refused", func() bool { return w.ask("in", "a", "/", "x-scope: 3").body == "R2" })
			if d := w.get("/config_dump?resource=dynamic_scoped_route_configs"); strings.Contains(d, "has the same as") {
				t.Errorf("config dump:\n%s", d)
			}
		})
	}
}

// Scopes, and their routes, may come from elsewhere than the aggregated stream: a file, or a stream of their own. Two connection
// managers may share the scopes and not the routes.
func TestScopesOfOtherSources(t *testing.T) {
	w := newWorld(t, options{})
	scopes, routes := filepath.Join(t.TempDir(), "scopes.yaml"), filepath.Join(t.TempDir(), "routes.yaml")
	path := func(file string) string { return fmt.Sprintf(`{"path_config_source":{"path":%q}}`, file) }
	f := func(listener, scope string, code int, body string) {
		t.Helper()
		w.wait(listener+" with "+body, func() bool {
			if w.at(listener) == "" {
				return false
			}
			a := w.ask(listener, "a", "/", "x-scope: "+scope)
			return a.code == code && a.body == body
		})
	}
	w.must(writeResources(scopes, w.scope("one", "1", "r", "")))
	w.must(writeResources(routes, w.table("r", "F")))
	w.push(
		w.listener("filed", scopedFrom(path(scopes), path(routes), "")), w.listener("streamed", scopedFrom(path(scopes), own, "")),
		w.listener("both", scopedFrom(own, path(routes), "")), w.scope("two", "2", "r", ""), w.table("r", "S"),
	)
	f("filed", "1", 200, "F")
	f("streamed", "1", 200, "S")
	f("both", "2", 200, "F")
	w.must(writeResources(routes, w.table("r", "F2")))
	f("filed", "1", 200, "F2")
	f("both", "2", 200, "F2")
	w.must(writeResources(scopes, w.scope("one", "3", "r", "")))
	f("filed", "1", 404, "")
	f("streamed", "3", 200, "S")
	if d := w.get("/xds"); !strings.Contains(d, "source "+scopes+": read") {
		t.Errorf("/xds does not show the source:\n%s", d)
	}
}

// The routes of a scope on demand come from where those of the others do.
func TestScopeOnDemandFromElsewhere(t *testing.T) {
	w := newWorld(t, options{})
	routes := filepath.Join(t.TempDir(), "routes.yaml")
	w.must(writeResources(routes, w.table("r", "F")))
	w.push(w.listener("in", scopedFrom(`{"ads":{}}`, fmt.Sprintf(`{"path_config_source":{"path":%q}}`, routes), onDemand)),
		w.scope("one", "1", "r", `,"on_demand":true`))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if a := w.ask("in", "a", "/", "x-scope: 1"); a.code != 200 || a.body != "F" {
		t.Errorf("%d %q", a.code, a.body)
	}
}
