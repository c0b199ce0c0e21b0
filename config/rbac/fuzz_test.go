package rbac

import (
	"testing"

	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
)

// FuzzDecode: no message, valid or not, makes decoding or judging panic; a trace
// changes nothing; and what an engine with ALLOW lets through, DENY refuses.
func FuzzDecode(f *testing.F) {
	for _, c := range permissions {
		seed(f, one("ALLOW", c.text, everything), &rbacv3.RBAC{})
	}
	for _, c := range principals {
		seed(f, one("DENY", everything, c.text), &rbacv3.RBAC{})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &rbacv3.RBAC{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		_, _ = Decode(m, Connections)
		m.Action = rbacv3.RBAC_ALLOW
		e, err := Decode(m, Requests)
		if err != nil {
			return
		}
		m.Action = rbacv3.RBAC_DENY
		d, err := Decode(m, Requests)
		if err != nil {
			t.Fatalf("refused with DENY alone: %v", err)
		}
		for _, in := range []*Input{request(), {Conn: request().Conn}} {
			allow, deny := e.Judge(in, nil), d.Judge(in, &match.Trace{})
			if allow.Policy != deny.Policy || allow.Allowed == deny.Allowed || allow.Allowed != (allow.Policy >= 0) {
				t.Errorf("ALLOW says %+v, DENY %+v", allow, deny)
			}
			_ = e.Details(allow)
		}
	})
}

// FuzzDecodeMatcher: no message makes decoding or judging panic, and a trace changes
// nothing.
func FuzzDecodeMatcher(f *testing.F) {
	for _, text := range []string{
		"{}", "{on_no_match: " + on("a", "ALLOW") + "}",
		"{matcher_list: {matchers: [" + entry(role, "reader", on("r", "DENY")) + "]}, on_no_match: " + on("a", "LOG") + "}",
		"{matcher_list: {matchers: [" + entry(uri, "spiffe://td/a", on("r", "ALLOW")) + "]}}",
	} {
		seed(f, text, &matcherv3.Matcher{})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &matcherv3.Matcher{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		e, err := DecodeMatcher(m, Requests)
		if err != nil {
			return
		}
		r := e.Judge(request(), nil)
		if with := e.Judge(request(), &match.Trace{}); with != r || r.Policy < 0 && r.Allowed {
			t.Errorf("%+v, with a trace %+v", r, with)
		}
		_ = e.Details(r)
	})
}

func seed(f *testing.F, text string, m proto.Message) {
	f.Helper()
	if _, err := yamlproto.Unmarshal([]byte(text), m, yamlproto.Options{}); err != nil {
		f.Fatal(err)
	}
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
}
