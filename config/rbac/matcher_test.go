package rbac

import (
	"net/netip"
	"strings"
	"testing"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/info"
)

func decodeMatcher(text string, s Scope) (*Engine, error) {
	m := &matcherv3.Matcher{}
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		return nil, err
	}
	if err := fielderr.Validate(m); err != nil {
		return nil, err
	}
	return DecodeMatcher(m, s)
}

func on(name, action string) string {
	return `{action: {name: action, typed_config: {"@type": type.googleapis.com/envoy.config.rbac.v3.Action, name: "` + name + `", action: ` + action + `}}}`
}

// input is a data input by its type's last words.
func input(typ, more string) string {
	return `input: {name: in, typed_config: {"@type": type.googleapis.com/envoy.` + typ + more + `}}`
}

// entry is a FieldMatcher of one value.
func entry(in, value, then string) string {
	return "{predicate: {single_predicate: {" + in + ", value_match: {exact: \"" + value + "\"}}}, on_match: " + then + "}"
}

var (
	role   = input("type.matcher.v3.HttpRequestHeaderMatchInput", ", header_name: x-role")
	uri    = input("extensions.matching.common_inputs.ssl.v3.UriSanInput", "")
	source = input("extensions.matching.common_inputs.network.v3.SourceIPInput", "")
	port   = input("extensions.matching.common_inputs.network.v3.SourcePortInput", "")
)

func TestMatcher(t *testing.T) {
	list := func(entries ...string) string {
		return "{matcher_list: {matchers: [" + strings.Join(entries, ", ") + "]}}"
	}
	single := func(i *Input) { i.Conn.PeerCertificate = &info.Certificate{URIs: []string{"spiffe://td/a"}} }
	for _, c := range []struct {
		name, text string
		change     func(*Input)
		allowed    bool
		details    string // of what is refused
	}{
		{"empty", "{}", nil, false, "none"},
		{"by role", list(entry(role, "reader", on("r", "ALLOW"))), nil, true, ""},
		{"by another role", list(entry(role, "writer", on("w", "ALLOW"))), nil, false, "none"},
		{"the first of two", list(entry(role, "reader", on("no reader", "DENY")), entry(role, "reader", on("r", "ALLOW"))), nil, false, "no_reader"},
		{"logged", list(entry(role, "reader", on("l", "LOG"))), nil, true, ""},
		{"the rest", "{on_no_match: " + on("rest", "ALLOW") + "}", nil, true, ""},
		{"the rest, refused", "{matcher_list: {matchers: [" + entry(role, "writer", on("w", "ALLOW")) + "]}, on_no_match: " + on("rest", "DENY") + "}", nil, false, "rest"},
		{"by the client's address", list(entry(source, "10.1.2.3", on("c", "ALLOW"))), nil, true, ""},
		{"by the address of the connection", list(entry(source, "192.0.2.7", on("c", "ALLOW"))), func(i *Input) { i.Client = netip.Addr{} }, true, ""},
		{"a forwarded client has no port", list(entry(port, "1000", on("c", "ALLOW"))), nil, false, "none"},
		{"the connection's port", list(entry(port, "1000", on("c", "ALLOW"))), func(i *Input) { i.Client = i.Conn.Source.Addr() }, true, ""},
		{"by certificate", list(entry(uri, "spiffe://td/a", on("c", "ALLOW"))), single, true, ""},
		{"without a request", "{matcher_list: {matchers: [" + entry(role, "writer", on("w", "DENY")) + "]}, on_no_match: " + on("rest", "ALLOW") + "}", func(i *Input) { i.Headers = nil }, false, "none"},
	} {
		e, err := decodeMatcher(c.text, Requests)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in := request()
		if c.change != nil {
			c.change(in)
		}
		tr := &match.Trace{}
		r := e.Judge(in, tr)
		if r.Allowed != c.allowed || !c.allowed && e.Details(r) != "rbac_access_denied_matched_policy["+c.details+"]" {
			t.Errorf("%s: %+v, %s\n%v", c.name, r, e.Details(r), tr.Steps)
		}
		if n := testing.AllocsPerRun(100, func() { e.Judge(in, nil) }); n > 0 && !racing {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

func TestMatcherMistakes(t *testing.T) {
	const typed = "on_no_match.action.typed_config"
	for _, c := range []struct {
		text  string
		scope Scope
		want  string
	}{
		{"{on_no_match: " + on("", "ALLOW") + "}", Requests, "on_no_match.action.typed_config.name: "},
		{"{on_no_match: " + on("a", "7") + "}", Requests, "on_no_match.action.typed_config.action: "},
		{`{on_no_match: {action: {name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.Duration}}}}`, Requests, typed + ": unsupported action google.protobuf.Duration (supported: envoy.config.rbac.v3.Action)"},
		{"{matcher_list: {matchers: [" + entry(role, "a", on("a", "ALLOW")) + "]}}", Connections, "HttpRequestHeaderMatchInput is not known here"},
		{"{on_no_match: {keep_matching: true, matcher: {}}}", Requests, "keep_matching"},
	} {
		_, err := decodeMatcher(c.text, c.scope)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.text, err, c.want)
		}
	}
}
