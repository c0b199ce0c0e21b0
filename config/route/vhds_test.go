package route

import (
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/proxy/header"
)

func unmarshal[M proto.Message](t testing.TB, m M, text string) M {
	t.Helper()
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	return m
}

// A virtual host that comes by itself does in its table what it would do had it always been there.
func TestDiscoveredHostIsPartOfItsTable(t *testing.T) {
	const own = `{"name":"own","domains":["own.example"],"routes":[{"match":{"prefix":"/"},"direct_response":{"status":200}}]}`
	const late = `{"name":"late","domains":["Late.example","*.late.example"],"require_tls":"EXTERNAL_ONLY",
		"request_headers_to_add":[{"header":{"key":"a","value":"host"}}],
		"routes":[
			{"match":{"path":"/x"},"redirect":{"prefix_rewrite":"/z"},"request_headers_to_add":[{"header":{"key":"a","value":"route"}}]},
			{"match":{"prefix":"/"},"direct_response":{"status":200}}]}`
	for _, wins := range []bool{false, true} {
		settings := fmt.Sprintf(`"name":"r","most_specific_header_mutations_wins":%v,"request_headers_to_add":[{"header":{"key":"a","value":"table"}}]`, wins)
		ctx := extension.NewContext(extension.NewRegistry(), "r")
		whole, err := Decode(unmarshal(t, &routev3.RouteConfiguration{}, `{`+settings+`,"virtual_hosts":[`+own+`,`+late+`]}`), ctx)
		if err != nil {
			t.Fatal(err)
		}
		part, err := Decode(unmarshal(t, &routev3.RouteConfiguration{}, `{`+settings+`,"vhds":{"config_source":{"ads":{}}},"virtual_hosts":[`+own+`]}`), ctx)
		if err != nil {
			t.Fatal(err)
		}
		if refs := ctx.Refs(); len(refs) != 1 || refs[0].TypeURL != VirtualHostURL || refs[0].Name != "*" || !part.Discovers {
			t.Errorf("references are %v", refs)
		}
		h, err := DecodeVirtualHost(unmarshal(t, &routev3.VirtualHost{}, late), ctx)
		if err != nil {
			t.Fatal(err)
		}
		merged, clash := part.With([]*VirtualHost{part.Adopt(h)})
		if len(clash) > 0 {
			t.Error(clash)
		}
		for _, target := range []string{"own.example/", "late.example/x", "late.example/y", "b.late.example/x", "none/"} {
			host, path, _ := strings.Cut(target, "/")
			print := func(tb *Table) string {
				r := tb.Match(&Request{Authority: []byte(host), Path: []byte("/" + path), Headers: new(header.Headers), TLS: true}, nil)
				if r == nil {
					return "none"
				}
				var values []string
				for _, m := range r.RequestMutations {
					values = append(values, fmt.Sprintf("%+v", *m))
				}
				return fmt.Sprintf("%s %d %v %v %v %s", r.VirtualHost.Name, r.Index, r.Redirect != nil, r.specificLast, len(r.RequestMutations), strings.Join(values, " "))
			}
			if a, b := print(whole), print(merged); a != b {
				t.Errorf("most specific wins %v, %s:\n%s\nby itself:\n%s", wins, target, a, b)
			}
		}
		if part.Match(&Request{Authority: []byte("late.example"), Path: []byte("/"), Headers: new(header.Headers)}, nil) != nil {
			t.Error("the table itself was changed")
		}
	}
}

// A domain belongs to who had it first.
func TestDiscoveredHostWithDomainsOfAnother(t *testing.T) {
	ctx := extension.NewContext(extension.NewRegistry(), "r")
	table, err := Decode(unmarshal(t, &routev3.RouteConfiguration{}, `{"name":"r","virtual_hosts":[{"name":"own","domains":["a","*.b","c*"]}]}`), ctx)
	if err != nil {
		t.Fatal(err)
	}
	h, err := DecodeVirtualHost(unmarshal(t, &routev3.VirtualHost{}, `{"name":"late","domains":["a","*.b","c*","d"]}`), ctx)
	if err != nil {
		t.Fatal(err)
	}
	merged, clash := table.With([]*VirtualHost{table.Adopt(h)})
	if len(clash) != 3 {
		t.Errorf("%v", clash)
	}
	for host, want := range map[string]string{"a": "own", "x.b": "own", "c.x": "own", "d": "late"} {
		if vh := merged.Host(&Request{Authority: []byte(host)}, nil); vh == nil || vh.Name != want {
			t.Errorf("%s: %v, want %s", host, vh, want)
		}
	}
}
