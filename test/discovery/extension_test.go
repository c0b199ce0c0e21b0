package discovery

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
)

// discovered is a filter by ECDS.
func discovered(name, typeURL, more string) string {
	return fmt.Sprintf(`{"name":%q,"config_discovery":{"config_source":{"ads":{},"resource_api_version":"V3"},"type_urls":["$%s"]%s}}`, name, typeURL, more)
}

// extension is what a discovered filter is configured by.
func (w *world) extension(name, config string) proto.Message {
	w.t.Helper()
	return w.parse("envoy.config.core.v3.TypedExtensionConfig", fmt.Sprintf(`{"name":%q,"typed_config":%s}`, name, config))
}

const (
	faultType = "filters.http.fault.v3.HTTPFault"
	abort     = `{"@type":"$` + faultType + `","abort":{"http_status":%d,"percentage":{"numerator":100}}}`
)

// The configuration of an HTTP filter comes, changes, is refused, and goes, while the listener and its connections stay.
func TestHTTPFilter(t *testing.T) {
	for _, sotw := range []bool{false, true} {
		t.Run(fmt.Sprintf("state of the world %v", sotw), func(t *testing.T) {
			w := newWorld(t, options{sotw: sotw})
			in := w.listener("in", hcm(hello, discovered("fault", faultType, "")))
			w.push(in, w.extension("fault", fmt.Sprintf(abort, 418)))
			w.wait("the listener", func() bool { return w.at("in") != "" })
			if a := w.ask("in", "a", "/"); a.code != 418 {
				t.Errorf("%d, want 418", a.code)
			}
			w.push(in, w.extension("fault", fmt.Sprintf(abort, 429)))
			if a := w.ask("in", "a", "/"); a.code != 429 {
				t.Errorf("%d after an update, want 429", a.code)
			}
			w.push(in, w.extension("fault", `{"@type":"$filters.http.cors.v3.Cors"}`))
			w.wait("the refusal", func() bool {
				return w.plane.refused(`extension "fault": typed_config: type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors is not among type_urls`)
			})
			if a := w.ask("in", "a", "/"); a.code != 429 {
				t.Errorf("%d after a refused update, want the 429 of the last good one", a.code)
			}
			if n := w.stat("http.h.downstream_cx_total"); n != 1 {
				t.Errorf("%d connections, want one that stays", n)
			}
			if n := w.stat("listener_manager.listener_in_place_updated"); n > 0 {
				t.Errorf("the listener was updated %d times", n)
			}
			if n := w.stat("extension_config_discovery.http_filter.fault.config_reload"); n != 2 {
				t.Errorf("config_reload is %d", n)
			}
			if d := w.get("/config_dump?resource=ecds_filters"); !strings.Contains(d, `"http_status": 429`) || !strings.Contains(d, `is not among type_urls`) {
				t.Errorf("config dump:\n%s", d)
			}
			if sotw {
				return // removal is something of the incremental protocol
			}
			w.push(in)
			w.wait("the removal", func() bool { return w.ask("in", "a", "/").code == 500 })
		})
	}
}

// Until the configuration comes a listener waits; with a default it may serve at once, and does when the time is up.
func TestDefaultConfig(t *testing.T) {
	w := newWorld(t, options{deadline: 300 * time.Millisecond})
	def := `,"default_config":` + fmt.Sprintf(abort, 451)
	w.push(
		w.listener("now", hcm(hello, discovered("fault", faultType, def+`,"apply_default_config_without_warming":true`))),
		w.listener("late", hcm(hello, discovered("fault", faultType, def))),
		w.listener("none", hcm(hello, discovered("fault", faultType, ""))),
	)
	w.wait("the listener that does not wait", func() bool { return w.at("now") != "" })
	if w.at("none") != "" {
		t.Error("a listener without its configuration did not wait")
	}
	w.wait("the others", func() bool { return w.at("late") != "" && w.at("none") != "" })
	for name, want := range map[string]int{"now": 451, "late": 451, "none": 500} {
		if a := w.ask(name, "a", "/"); a.code != want || a.body != "" && want == 500 {
			t.Errorf("%s: %d %q, want %d", name, a.code, a.body, want)
		}
	}
}

// The router itself may be discovered, and a filter that is discovered has its configuration of the route.
func TestTerminalAndPerRoute(t *testing.T) {
	w := newWorld(t, options{})
	routes := `"route_config":{"name":"r","virtual_hosts":[{"name":"v","domains":["*"],"routes":[
		{"match":{"path":"/own"},"direct_response":{"status":200},"typed_per_filter_config":{"fault":` + fmt.Sprintf(abort, 403) + `}},
		{"match":{"path":"/off"},"direct_response":{"status":200},"typed_per_filter_config":{"fault":{"@type":"type.googleapis.com/envoy.config.route.v3.FilterConfig","disabled":true}}},
		{"match":{"prefix":"/"},"direct_response":{"status":200}}]}]}`
	m := strings.Replace(hcm(routes, discovered("fault", faultType, "")), `{"name":"router","typed_config":{"@type":"$filters.http.router.v3.Router"}}`,
		discovered("router", "filters.http.router.v3.Router", ""), 1)
	w.push(w.listener("in", m), w.extension("fault", fmt.Sprintf(abort, 402)), w.extension("router", `{"@type":"$filters.http.router.v3.Router"}`))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	for path, want := range map[string]int{"/": 402, "/own": 403, "/off": 200} {
		if a := w.ask("in", "a", path); a.code != want {
			t.Errorf("%s: %d, want %d", path, a.code, want)
		}
	}
}

// A whole connection manager may be discovered: connections that are open keep theirs, new ones have the new one.
func TestNetworkFilter(t *testing.T) {
	const hcmType = "filters.network.http_connection_manager.v3.HttpConnectionManager"
	w := newWorld(t, options{})
	manager := func(answer string) proto.Message {
		text := hcm(strings.Replace(hello, "hello", answer, 1), "")
		return w.extension("whole", text[strings.Index(text, `{"@type"`):len(text)-1])
	}
	in := w.listener("in", discovered("whole", hcmType, ""))
	w.push(in, manager("one"))
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if a := w.ask("in", "a", "/"); a.body != "one" {
		t.Errorf("%q", a.body)
	}
	w.push(in, manager("two"))
	if a := w.ask("in", "a", "/"); a.body != "one" {
		t.Errorf("%q on the open connection", a.body)
	}
	w.http.CloseIdleConnections()
	if a := w.ask("in", "a", "/"); a.body != "two" {
		t.Errorf("%q on a new connection", a.body)
	}
	w.push(in)
	w.http.CloseIdleConnections()
	w.wait("the removal", func() bool { _, err := w.try("in", "a", "/"); w.http.CloseIdleConnections(); return err != nil })
	w.wait("the count", func() bool {
		for _, l := range strings.Split(w.get("/stats?filter=network_extension_config_missing"), "\n") {
			if l != "" && !strings.HasSuffix(l, ": 0") {
				return true
			}
		}
		return false
	})
}

// A listener filter may be discovered; without its configuration connections are closed.
func TestListenerFilter(t *testing.T) {
	w := newWorld(t, options{deadline: 200 * time.Millisecond})
	in := w.listener("in", hcm(hello, ""), `"listener_filters":[`+discovered("pp", "filters.listener.proxy_protocol.v3.ProxyProtocol", "")+`],`)
	w.push(in)
	w.wait("the listener", func() bool { return w.at("in") != "" })
	if _, err := w.try("in", "a", "/"); err == nil {
		t.Error("served without the configuration of a listener filter")
	}
	w.push(in, w.extension("pp", `{"@type":"$filters.listener.proxy_protocol.v3.ProxyProtocol"}`))
	c, err := net.Dial("tcp", w.at("in"))
	w.must(err)
	defer c.Close()
	_, err = io.WriteString(c, "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
	resp, err2 := http.ReadResponse(bufio.NewReader(c), nil)
	w.must(errors.Join(err, err2))
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}
