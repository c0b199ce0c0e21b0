package rbac

import (
	"net/netip"
	"strings"
	"testing"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	"go.uber.org/goleak"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func decode(text string, s Scope) (*Engine, error) {
	m := &rbacv3.RBAC{}
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		return nil, err
	}
	if err := fielderr.Validate(m); err != nil {
		return nil, err
	}
	return Decode(m, s)
}

// request is one from 10.1.2.3 by way of 192.0.2.7 and a proxy at 127.0.0.1.
func request() *Input {
	h := &header.Headers{}
	h.AddString(header.Method, "GET")
	h.AddString(header.Path, "/admin/x?y=1#z")
	h.AddString(header.Authority, "a.example")
	h.AddString(header.Intern("x-role"), "reader")
	return &Input{
		Conn: &info.Conn{
			Source: netip.MustParseAddrPort("192.0.2.7:1000"), DirectSource: netip.MustParseAddrPort("[::ffff:127.0.0.1]:2000"),
			Dest: netip.MustParseAddrPort("198.51.100.9:443"), Local: netip.MustParseAddrPort("127.0.0.1:15001"),
			ServerName:    []byte("www.a.example"),
			PeerValidated: true, TLSVersion: "TLSv1.3",
			PeerCertificate: &info.Certificate{
				Subject: "CN=client,O=Weir", URIs: []string{"spiffe://td/a", "spiffe://td/ns/x/sa/" + strings.Repeat("long", 20)},
				DNSNames: []string{"client.example"},
			},
		},
		Client: netip.MustParseAddr("10.1.2.3"), Headers: h, Path: h.Value(header.Path),
	}
}

// one is an RBAC of one policy.
func one(action, permission, principal string) string {
	return "{action: " + action + ", policies: {p: {permissions: [" + permission + "], principals: [" + principal + "]}}}"
}

const everything = "{any: true}"

var permissions = []struct {
	text string
	want bool
}{
	{everything, true},
	{`{header: {name: x-role, string_match: {exact: reader}}}`, true},
	{`{header: {name: x-role, string_match: {exact: writer}}}`, false},
	{`{header: {name: ":method", string_match: {exact: GET}}}`, true},
	{`{header: {name: ":path", string_match: {exact: "/admin/x?y=1#z"}}}`, true},
	{`{header: {name: ":authority", string_match: {suffix: .example}}}`, true},
	{`{header: {name: x-none, present_match: false}}`, true},
	{`{url_path: {path: {exact: /admin/x}}}`, true},
	{`{url_path: {path: {prefix: /admin, ignore_case: true}}}`, true},
	{`{url_path: {path: {exact: "/admin/x?y=1"}}}`, false},
	{`{destination_ip: {address_prefix: 198.51.100.0, prefix_len: 24}}`, true},
	{`{destination_ip: {address_prefix: "::ffff:198.51.100.0", prefix_len: 120}}`, true},
	{`{destination_ip: {address_prefix: 127.0.0.1, prefix_len: 32}}`, false},
	{`{destination_ip: {address_prefix: "::", prefix_len: 0}}`, false},
	{`{destination_port: 443}`, true},
	{`{destination_port: 15001}`, false},
	{`{destination_port_range: {start: 443, end: 444}}`, true},
	{`{destination_port_range: {start: 1, end: 443}}`, false},
	{`{destination_port_range: {start: 1, end: 65536}}`, true},
	{`{requested_server_name: {suffix: .a.example}}`, true},
	{`{requested_server_name: {exact: a.example}}`, false},
	{`{not_rule: {any: true}}`, false},
	{`{not_rule: {destination_port: 80}}`, true},
	{`{and_rules: {rules: [{any: true}, {destination_port: 443}]}}`, true},
	{`{and_rules: {rules: [{any: true}, {destination_port: 80}]}}`, false},
	{`{or_rules: {rules: [{destination_port: 80}, {destination_port: 443}]}}`, true},
	{`{or_rules: {rules: [{destination_port: 80}, {not_rule: {any: true}}]}}`, false},
}

var principals = []struct {
	text string
	want bool
}{
	{everything, true},
	{`{authenticated: {}}`, true},
	{`{authenticated: {principal_name: {exact: "spiffe://td/a"}}}`, true},
	{`{authenticated: {principal_name: {suffix: longlong}}}`, true},
	{`{authenticated: {principal_name: {exact: client.example}}}`, true},
	{`{authenticated: {principal_name: {exact: "CN=client,O=Weir"}}}`, true},
	{`{authenticated: {principal_name: {exact: "spiffe://td/b"}}}`, false},
	{`{authenticated: {principal_name: {safe_regex: {regex: "spiffe://[^/]+/[a-c]"}}}}`, true},
	{`{source_ip: {address_prefix: 192.0.2.7, prefix_len: 32}}`, true},
	{`{source_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}`, false},
	{`{direct_remote_ip: {address_prefix: 127.0.0.0, prefix_len: 8}}`, true},
	{`{direct_remote_ip: {address_prefix: 192.0.2.0, prefix_len: 24}}`, false},
	{`{remote_ip: {address_prefix: 10.1.0.0, prefix_len: 16}}`, true},
	{`{remote_ip: {address_prefix: 192.0.2.0, prefix_len: 24}}`, false},
	{`{header: {name: x-role, string_match: {prefix: read}}}`, true},
	{`{url_path: {path: {contains: min}}}`, true},
	{`{not_id: {authenticated: {}}}`, false},
	{`{and_ids: {ids: [{any: true}, {remote_ip: {address_prefix: 10.0.0.0, prefix_len: 8}}]}}`, true},
	{`{and_ids: {ids: [{any: true}, {remote_ip: {address_prefix: 11.0.0.0, prefix_len: 8}}]}}`, false},
	{`{or_ids: {ids: [{not_id: {any: true}}, {authenticated: {}}]}}`, true},
}

// TestRules: ALLOW lets through what matches, DENY what does not, LOG everything; the
// trace ends with the policy, and nothing is allocated without one.
func TestRules(t *testing.T) {
	check := func(t *testing.T, permission, principal string, want bool) {
		t.Helper()
		in := request()
		for action, allowed := range map[string]bool{"ALLOW": want, "DENY": !want, "LOG": true} {
			e, err := decode(one(action, permission, principal), Requests)
			if err != nil {
				t.Fatal(err)
			}
			tr := &match.Trace{}
			r := e.Judge(in, tr)
			if r.Allowed != allowed || (r.Policy == 0) != want {
				t.Errorf("%s %s %s: %+v, want a match: %v\n%v", action, permission, principal, r, want, tr.Steps)
			}
			if last := tr.Steps[len(tr.Steps)-1]; last.Subject != `policy "p"` || last.OK != want || len(tr.Steps) < 2 {
				t.Errorf("%s %s: trace %v", permission, principal, tr.Steps)
			}
			if n := testing.AllocsPerRun(20, func() { e.Judge(in, nil) }); n > 0 {
				t.Errorf("%s %s: %v allocations", permission, principal, n)
			}
		}
	}
	for _, c := range permissions {
		check(t, c.text, everything, c.want)
	}
	for _, c := range principals {
		check(t, everything, c.text, c.want)
	}
}

// TestWhoIsAuthenticated: whoever speaks TLS, by the names of the certificate or the
// empty one (Envoy: AuthenticatedMatcher).
func TestWhoIsAuthenticated(t *testing.T) {
	anyone, err := decode(one("ALLOW", everything, `{authenticated: {}}`), Connections)
	if err != nil {
		t.Fatal(err)
	}
	named, err := decode(one("ALLOW", everything, `{authenticated: {principal_name: {safe_regex: {regex: ".*"}}}}`), Connections)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*info.Conn)
		want   bool
	}{
		"verified":        {func(*info.Conn) {}, true},
		"not TLS":         {func(i *info.Conn) { i.TLSVersion = "" }, false},
		"a subject alone": {func(i *info.Conn) { i.PeerCertificate = &info.Certificate{Subject: "CN=x"} }, true},
		"not verified":    {func(i *info.Conn) { i.PeerValidated = false }, true},
		"no certificate":  {func(i *info.Conn) { i.PeerCertificate = nil }, true},
	} {
		in := Input{Conn: request().Conn}
		c.change(in.Conn)
		if a, n := anyone.Judge(&in, nil).Allowed, named.Judge(&in, nil).Allowed; a != c.want || n != c.want {
			t.Errorf("%s: %v, by name %v, want %v", name, a, n, c.want)
		}
	}
}

// TestWithoutARequest: what a request has is not there, and the source stands for the
// client.
func TestWithoutARequest(t *testing.T) {
	e, err := decode(one("ALLOW", everything, `{remote_ip: {address_prefix: 192.0.2.7, prefix_len: 32}}`), Connections)
	if err != nil {
		t.Fatal(err)
	}
	if in := (Input{Conn: request().Conn}); !e.Judge(&in, nil).Allowed {
		t.Error("the source is not the client")
	}
	for _, p := range []string{`{header: {name: x-none, present_match: false}}`, `{url_path: {path: {safe_regex: {regex: ".*"}}}}`} {
		e, err := decode(one("ALLOW", p, everything), Requests)
		if err != nil {
			t.Fatal(err)
		}
		if in := (Input{Conn: request().Conn}); e.Judge(&in, nil).Allowed {
			t.Errorf("%s matches without a request", p)
		}
	}
}

func TestOrderAndDetails(t *testing.T) {
	e, err := decode(`{action: DENY, policies: {
	  "z": {permissions: [{any: true}], principals: [{any: true}]},
	  "b c\td": {permissions: [{destination_port: 443}], principals: [{any: true}]},
	  "a": {permissions: [{any: true}], principals: [{not_id: {any: true}}, {remote_ip: {address_prefix: 11.0.0.0, prefix_len: 8}}]}}}`, Requests)
	if err != nil {
		t.Fatal(err)
	}
	r := e.Judge(request(), nil)
	if r.Allowed || e.Policies()[r.Policy] != "b c\td" || e.Details(r) != "rbac_access_denied_matched_policy[b_c_d]" {
		t.Errorf("%+v of %q: %s", r, e.Policies(), e.Details(r))
	}
	for text, want := range map[string]bool{"{}": false, "{action: DENY}": true, "{action: LOG}": true} {
		e, err := decode(text, Requests)
		if err != nil {
			t.Fatal(err)
		}
		r := e.Judge(request(), nil)
		if r.Allowed != want || r.Policy != -1 || e.Details(r) != "rbac_access_denied_matched_policy[none]" {
			t.Errorf("%s: %+v", text, r)
		}
	}
}

func TestMistakes(t *testing.T) {
	const p = `policies["p"].`
	for _, c := range []struct {
		text  string
		scope Scope
		want  string
	}{
		{one("ALLOW", `{metadata: {filter: f, path: [{key: k}], value: {present_match: true}}}`, everything), Requests, p + "permissions[0].metadata: unsupported"},
		{one("ALLOW", `{not_rule: {sourced_metadata: {metadata_matcher: {filter: f, path: [{key: k}], value: {present_match: true}}}}}`, everything), Requests, p + "permissions[0].not_rule.sourced_metadata: unsupported"},
		{one("ALLOW", `{and_rules: {rules: [{any: true}, {uri_template: {name: t, typed_config: {"@type": type.googleapis.com/google.protobuf.Duration}}}]}}`, everything), Requests, p + "permissions[0].and_rules.rules[1].uri_template: unsupported"},
		{one("ALLOW", `{matcher: {name: m, typed_config: {"@type": type.googleapis.com/google.protobuf.Duration}}}`, everything), Requests, p + "permissions[0].matcher: unsupported"},
		{one("ALLOW", everything, `{or_ids: {ids: [{metadata: {filter: f, path: [{key: k}], value: {present_match: true}}}]}}`), Requests, p + "principals[0].or_ids.ids[0].metadata: unsupported"},
		{one("ALLOW", everything, `{filter_state: {key: k, string_match: {exact: a}}}`), Requests, p + "principals[0].filter_state: unsupported"},
		{one("ALLOW", everything, `{custom: {name: c, typed_config: {"@type": type.googleapis.com/google.protobuf.Duration}}}`), Requests, p + "principals[0].custom: unsupported"},
		{`{policies: {p: {permissions: [{any: true}], principals: [{any: true}], condition: {const_expr: {bool_value: true}}}}}`, Requests, p + "condition: unsupported"},
		{`{audit_logging_options: {audit_condition: ON_DENY}}`, Requests, "audit_logging_options: unsupported"},
		{one("ALLOW", `{destination_port_range: {start: 5, end: 5}}`, everything), Requests, p + "permissions[0].destination_port_range: [5, 5) is empty"},
		{one("ALLOW", `{destination_port_range: {start: 5, end: 70000}}`, everything), Requests, p + "permissions[0].destination_port_range.end: 70000 is out of bounds"},
		{one("ALLOW", `{destination_port_range: {start: -1, end: 7}}`, everything), Requests, p + "permissions[0].destination_port_range.start: -1 is out of bounds"},
		{one("ALLOW", `{destination_ip: {address_prefix: here}}`, everything), Requests, p + "permissions[0].destination_ip.address_prefix: not an IP address"},
		{one("ALLOW", everything, `{authenticated: {principal_name: {safe_regex: {regex: "("}}}}`), Requests, p + "principals[0].authenticated.principal_name.safe_regex.regex: "},
		{one("ALLOW", `{header: {name: a, string_match: {exact: a}}}`, everything), Connections, p + "permissions[0].header: a connection has no request"},
		{one("ALLOW", everything, `{not_id: {url_path: {path: {exact: /a}}}}`), Connections, p + "principals[0].not_id.url_path: a connection has no request"},
	} {
		_, err := decode(c.text, c.scope)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.text, err, c.want)
		}
	}
	// What the constraints of the proto refuse is refused without them too.
	for _, m := range []*rbacv3.RBAC{
		{Action: 77},
		{Policies: map[string]*rbacv3.Policy{"p": nil}},
		{Policies: map[string]*rbacv3.Policy{"p": {Permissions: []*rbacv3.Permission{nil}, Principals: []*rbacv3.Principal{{}}}}},
		{Policies: map[string]*rbacv3.Policy{"p": {
			Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_NotRule{}}},
			Principals:  []*rbacv3.Principal{{Identifier: &rbacv3.Principal_Any{}}},
		}}},
		{Policies: map[string]*rbacv3.Policy{"p": {
			Permissions: []*rbacv3.Permission{{Rule: &rbacv3.Permission_Header{}}, {Rule: &rbacv3.Permission_UrlPath{}}, {Rule: &rbacv3.Permission_DestinationPort{DestinationPort: 1 << 20}}},
			Principals:  []*rbacv3.Principal{{Identifier: &rbacv3.Principal_SourceIp{}}},
		}}},
	} {
		if _, err := Decode(m, Requests); err == nil {
			t.Errorf("%v is accepted", m)
		}
	}
}
