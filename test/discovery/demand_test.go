package discovery

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

const (
	onDemand = `{"name":"od","typed_config":{"@type":"$filters.http.on_demand.v3.OnDemand"}}`
	odcds    = `{"name":"od","typed_config":{"@type":"$filters.http.on_demand.v3.OnDemand","odcds":{"source":{"ads":{}},"timeout":"0.3s"}}}`
	byRDS    = `"rds":{"route_config_name":"r","config_source":{"ads":{}}}`
)

func (w *world) host(name, domain, text string) proto.Message {
	w.t.Helper()
	return w.parse("envoy.config.route.v3.VirtualHost", fmt.Sprintf(`{"name":%q,"domains":[%q],"routes":[
		{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":%q}}}]}`, name, domain, text))
}

// vhdsTable is a table with a virtual host of its own, a header that it adds to every response, and others by VHDS.
func (w *world) vhdsTable(name string) proto.Message {
	return w.parse("envoy.config.route.v3.RouteConfiguration", `{"name":"`+name+`","vhds":{"config_source":{"ads":{}}},
		"response_headers_to_add":[{"header":{"key":"x-table","value":"`+name+`"}}],
		"virtual_hosts":[{"name":"own","domains":["own.example"],"routes":[{"match":{"prefix":"/"},"direct_response":{"status":200,"body":{"inline_string":"own"}}}]}]}`)
}

// Virtual hosts come by themselves, and become part of their table.
func TestVirtualHosts(t *testing.T) {
	w := newWorld(t, options{})
	in := w.listener("in", hcm(byRDS, ""))
	f := func(host string, code int, body string) {
		t.Helper()
		a := w.ask("in", host, "/")
		if a.code != code || a.body != body {
			t.Errorf("%s: %d %q, want %d %q", host, a.code, a.body, code, body)
		}
		if code == 200 && a.Get("x-table") != "r" {
			t.Errorf("%s: headers %v lack what the table adds", host, a.Header)
		}
	}
	w.push(in, w.vhdsTable("r"), w.host("r/a", "a.example", "A"), w.host("other/b", "b.example", "B"))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	f("own.example", 200, "own")
	f("a.example", 200, "A")
	f("b.example", 404, "")
	w.push(in, w.vhdsTable("r"), w.host("r/a", "a.example", "A2"), w.host("r/c", "*.c.example", "C"))
	f("a.example", 200, "A2")
	f("x.c.example", 200, "C")
	w.push(in, w.vhdsTable("r"), w.host("r/c", "own.example", "stolen"))
	f("a.example", 404, "")
	f("own.example", 200, "own")
}

// A virtual host that a request needs is asked for, once for all who need it.
func TestVirtualHostOnDemand(t *testing.T) {
	w := newWorld(t, options{lazy: true})
	p := w.lazy
	p.add(true, w.listener("in", hcm(byRDS, onDemand)), "in")
	p.add(true, w.vhdsTable("r"), "r")
	p.add(false, w.host("v", "a.example", "A"), "r/v", "r/a.example")
	p.add(false, w.host("w", "b.example", "B"), "r/b.example")
	p.silent["r/silent.example"] = true
	w.run()
	w.wait("the listener", func() bool { return w.at("in") != "" })
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if a, err := w.try("in", "A.example", "/"); err != nil || a.code != 200 || a.body != "A" || a.Get("x-table") != "r" {
				t.Errorf("%+v %v", a, err)
			}
		})
	}
	all.Wait()
	if n := p.times("r/a.example"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if a := w.ask("in", "b.example", "/"); a.body != "B" {
		t.Errorf("%+v", a)
	}
	for range 2 { // what does not exist is asked for again, as nobody says when it comes to be
		if a := w.ask("in", "none.example", "/"); a.code != 404 {
			t.Errorf("%+v", a)
		}
	}
	began := time.Now()
	if a := w.ask("in", "silent.example", "/"); a.code != 404 || time.Since(began) < 4*time.Second {
		t.Errorf("%+v after %v", a, time.Since(began))
	}
}

// A cluster that a request needs is asked for.
func TestClusterOnDemand(t *testing.T) {
	w := newWorld(t, options{lazy: true})
	p := w.lazy
	routes := `"route_config":{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
		{"match":{"path":"/fixed"},"route":{"cluster":"fixed"}},
		{"match":{"path":"/not"},"route":{"cluster":"lazy2"},"typed_per_filter_config":{"od":{"@type":"$filters.http.on_demand.v3.PerRouteConfig"}}},
		{"match":{"prefix":"/"},"route":{"cluster_header":"x-cluster"}}]}],"validate_clusters":false}`
	p.add(true, w.listener("in", hcm(routes, odcds)), "in")
	p.add(false, w.origin("lazy"), "lazy")
	p.add(false, w.origin("lazy2"), "lazy2")
	p.add(false, w.origin("fixed"), "fixed")
	p.silent["silent"] = true
	w.run()
	w.wait("the listener", func() bool { return w.at("in") != "" })
	f := func(path, cluster string, code int, body string) {
		t.Helper()
		if a := w.ask("in", "a", path, "x-cluster: "+cluster); a.code != code || a.body != body {
			t.Errorf("%s %s: %d %q, want %d %q", path, cluster, a.code, a.body, code, body)
		}
	}
	f("/x", "lazy", 200, "lazy /x")
	f("/y", "lazy", 200, "lazy /y")
	f("/fixed", "", 200, "fixed /fixed")
	f("/x", "none", 503, "")
	f("/x", "silent", 503, "")
	f("/not", "", 503, "")
	if n := p.times("lazy"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := p.times("lazy2"); n != 0 {
		t.Errorf("asked %d times for what the route does not want", n)
	}
}

// The routes of a scope may be asked for when a request needs them.
func TestScopeOnDemand(t *testing.T) {
	w := newWorld(t, options{lazy: true})
	p := w.lazy
	p.add(true, w.listener("in", scoped(onDemand)), "in")
	p.add(true, w.scope("one", "1", "r", `,"on_demand":true`), "one")
	p.add(true, w.scope("two", "2", "none", `,"on_demand":true`), "two")
	p.add(false, w.table("r", "R"), "r")
	w.run()
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if n := p.times("r"); n != 0 {
		t.Errorf("asked %d times before a request", n)
	}
	for range 2 {
		if a := w.ask("in", "a", "/", "x-scope: 1"); a.code != 200 || a.body != "R" {
			t.Errorf("%+v", a)
		}
	}
	if n := p.times("r"); n != 1 {
		t.Errorf("asked %d times", n)
	}
	for _, s := range []string{"2", "3"} {
		if a := w.ask("in", "a", "/", "x-scope: "+s); a.code != 404 {
			t.Errorf("%s: %+v", s, a)
		}
	}
}
