package rbac_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/secret/secrettest"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	typ      = `"@type": type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC`
	httpType = `"@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC`
)

// lines keeps what an access log writes.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// chain has the filter before one that says hello, and a log of the details.
func chain(config string) string {
	return `
listeners:
- name: in
  address: {$loopback}
  access_log: [{name: f, typed_config: {$file_log, path: log, log_format: {text_format_source: {inline_string: "%CONNECTION_TERMINATION_DETAILS%\n"}}}}]
  filter_chains:
  - filters:
    - {name: guard, typed_config: {` + typ + `, stat_prefix: n` + config + `}}
    - {name: say, typed_config: {$direct_response, response: {inline_string: hello}}}
`
}

func logged(l *lines) func(string) (filters.Sink, error) {
	return func(string) (filters.Sink, error) { return l, nil }
}

// tree allows one value of an input.
func tree(input, value string) string {
	return `{matcher_list: {matchers: [{predicate: {single_predicate: {input: {name: in, typed_config: {"@type": type.googleapis.com/envoy.` + input + `}}, value_match: {exact: ` + value + `}}},
	 on_match: {action: {name: action, typed_config: {"@type": type.googleapis.com/envoy.config.rbac.v3.Action, name: m}}}}]}}`
}

func TestRules(t *testing.T) {
	loopback := `{direct_remote_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}`
	for _, c := range []struct {
		name, config, said, details, counts string
	}{
		{"none", "", "hello", "direct_response", "allowed 0, denied 0"},
		{"empty", ", rules: {}", "", "rbac_access_denied_matched_policy[none]", "allowed 0, denied 1"},
		{"allow", ", rules: {policies: {p: {permissions: [{any: true}], principals: [" + loopback + "]}}}", "hello", "direct_response", "allowed 1, denied 0"},
		{"deny", `, rules: {action: DENY, policies: {"a b": {permissions: [{any: true}], principals: [` + loopback + "]}}}", "", "rbac_access_denied_matched_policy[a_b]", "denied 1"},
		{"shadow", ", shadow_rules: {}, shadow_rules_stat_prefix: dry", "hello", "direct_response", "allowed 0, denied 0, dry.shadow_denied 1, dry.shadow_allowed 0"},
		{"an empty matcher", ", matcher: {}", "", "rbac_access_denied_matched_policy[none]", "denied 1"},
		{"a matcher", ", matcher: " + tree("extensions.matching.common_inputs.network.v3.SourceIPInput", "127.0.0.1") + ", rules: {}, shadow_matcher: {}", "hello", "direct_response", "allowed 1, denied 0, shadow_denied 1"},
		{"both", ", rules: {}, shadow_rules: {action: DENY}", "", "rbac_access_denied_matched_policy[none]", "denied 1, shadow_allowed 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l lines
			r := rig.New(t, rig.Options{Config: chain(c.config), Loggers: logged(&l)})
			if b, err := io.ReadAll(r.Dial()); string(b) != c.said || err != nil {
				t.Errorf("%q, %v", b, err)
			}
			if !rig.Eventually(func() bool { return l.String() == c.details+"\n" }) {
				t.Errorf("logged %q, wanted %q", l.String(), c.details)
			}
			for _, want := range strings.Split(c.counts, ", ") {
				name, value, _ := strings.Cut(want, " ")
				if got := r.Stat("n.rbac." + name); value != fmt.Sprint(got) {
					t.Errorf("%s %d, wanted %s", name, got, value)
				}
			}
		})
	}
}

// TestDelay: a refused connection is held, and hears nothing; it ends with its client.
func TestDelay(t *testing.T) {
	var l lines
	r := rig.New(t, rig.Options{Config: chain(", rules: {}, delay_deny: 0.2s"), Loggers: logged(&l)})
	start := time.Now()
	c := r.Dial()
	if _, err := io.WriteString(c, "hi"); err != nil {
		t.Fatal(err)
	}
	if b, _ := io.ReadAll(c); len(b) > 0 {
		t.Errorf("got %q", b)
	}
	if d := time.Since(start); d < 200*time.Millisecond {
		t.Errorf("closed after %v", d)
	}
	r.Apply(chain(", rules: {}, delay_deny: 3600s"))
	held := r.Dial()
	r.Await("n.rbac.denied", 2)
	held.Close()
	if !rig.Eventually(func() bool { return strings.Count(l.String(), "[none]") == 2 }) {
		t.Errorf("logged %q", l.String())
	}
}

func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		`, matcher: {on_no_match: {action: {name: a, typed_config: {"@type": type.googleapis.com/envoy.config.rbac.v3.Action}}}}`: "matcher.on_no_match.action.typed_config.name",
		", shadow_matcher: " + tree("type.matcher.v3.HttpRequestHeaderMatchInput, header_name: x", "a"):                           "shadow_matcher.matcher_list.matchers[0].predicate.single_predicate.input.typed_config",
		", enforcement_type: CONTINUOUS": "enforcement_type",
		", delay_deny: -1s":              "delay_deny",
		", rules: {policies: {p: {permissions: [{header: {name: a, present_match: true}}], principals: [{any: true}]}}}":         `rules.policies["p"].permissions[0].header`,
		", shadow_rules: {policies: {p: {permissions: [{any: true}], principals: [{url_path: {path: {exact: /}}}]}}}":            `shadow_rules.policies["p"].principals[0].url_path`,
		", rules: {policies: {p: {permissions: [{any: true}], principals: [{custom: {name: c, typed_config: {" + typ + "}}}]}}}": `rules.policies["p"].principals[0].custom`,
	} {
		if err := rig.Check(rig.Options{Config: rig.Expand(chain(text))}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestClientCertificates: clients are told apart by the URI of their certificate, by
// the network filter for opaque TCP, by the HTTP filter for both versions of HTTP.
func TestClientCertificates(t *testing.T) {
	ca := secrettest.CA(t, "ca")
	server := ca.Issue(t, "server", secrettest.DNS("a.example"))
	good := ca.Issue(t, "good", secrettest.URI("spiffe://td/ns/x/sa/good"))
	bad := ca.Issue(t, "bad", secrettest.URI("spiffe://td/ns/x/sa/bad"), secrettest.DNS("good.example"))
	const rules = `rules: {policies: {good: {permissions: [{requested_server_name: {exact: a.example}}], principals: [{authenticated: {principal_name: {exact: "spiffe://td/ns/x/sa/good"}}}]}}}`
	listener := func(name, filters string) string {
		return fmt.Sprintf(`
- name: %s
  address: {$loopback}
  listener_filters: [$tls_inspector]
  filter_chains:
  - transport_socket:
      name: tls
      typed_config:
        $downstream_tls
        common_tls_context: {alpn_protocols: [h2, http/1.1], tls_certificates: [{certificate_chain: {inline_string: %q}, private_key: {inline_string: %q}}], validation_context: {trusted_ca: {inline_string: %q}}}
    filters:%s`, name, server.Cert(), server.PrivateKey(), ca.Cert(), filters)
	}
	r := rig.New(t, rig.Options{
		Origins: map[string]string{
			"echo": rig.TCPOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }),
			"web":  rig.Origin(t, func(http.ResponseWriter, *http.Request) {}),
		},
		Config: "listeners:" + listener("tcp", `
    - {name: guard, typed_config: {`+typ+`, stat_prefix: n, `+rules+`}}
    - {name: tcp, typed_config: {$tcp_proxy, stat_prefix: t, cluster: echo}}`) + listener("http", `
    - name: hcm
      typed_config:
        $hcm
        stat_prefix: h
        http_filters: [{name: guard, typed_config: {`+httpType+`, `+rules+`}}, $router]
        route_config: {virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: "/"}, route: {cluster: web}}]}]}`) + "\n",
	})
	client := func(p *secrettest.Pair, name string) *tls.Config {
		c := &tls.Config{InsecureSkipVerify: true, ServerName: name}
		if p != nil {
			c.Certificates = []tls.Certificate{{Certificate: [][]byte{p.Leaf.Raw}, PrivateKey: p.Key}}
		}
		return c
	}
	for _, c := range []struct {
		who    string
		cert   *secrettest.Pair
		name   string
		passes bool
	}{
		{"the good client", good, "a.example", true},
		{"the good client, elsewhere", good, "b.example", false},
		{"another client", bad, "a.example", false},
		{"nobody", nil, "a.example", false},
	} {
		raw := tls.Client(rig.Dial(t, r.AddrOf("tcp")), client(c.cert, c.name))
		b := make([]byte, 2)
		_, err := io.WriteString(raw, "hi")
		if err == nil {
			_, err = io.ReadFull(raw, b)
		}
		if (err == nil && string(b) == "hi") != c.passes {
			t.Errorf("%s over TCP: %q, %v", c.who, b, err)
		}
		for _, http2 := range []bool{false, true} {
			tr := &http.Transport{Protocols: new(http.Protocols), TLSClientConfig: client(c.cert, c.name)}
			tr.Protocols.SetHTTP2(http2)
			tr.Protocols.SetHTTP1(!http2)
			resp, err := (&http.Client{Transport: tr}).Get("https://" + r.AddrOf("http") + "/")
			if err != nil {
				t.Errorf("%s, HTTP/2 %v: %v", c.who, http2, err)
				continue
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.ProtoMajor == 2 != http2 || (resp.StatusCode == 200) != c.passes || !c.passes && (resp.StatusCode != 403 || string(body) != "RBAC: access denied") {
				t.Errorf("%s, HTTP/2 %v: %s %s %q %v", c.who, http2, resp.Proto, resp.Status, body, err)
			}
			tr.CloseIdleConnections()
		}
	}
	for name, want := range map[string]int64{"n.rbac.allowed": 1, "n.rbac.denied": 3, "http.h.rbac.allowed": 2, "http.h.rbac.denied": 6, "tcp.t.downstream_cx_total": 1} {
		if got := r.Stat(name); got != want {
			t.Errorf("%s %d, wanted %d", name, got, want)
		}
	}
}
