package route

import (
	"fmt"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

func scopeKey(t testing.TB, extractors ...string) (ScopeKey, error) {
	t.Helper()
	m := &hcmv3.ScopedRoutes_ScopeKeyBuilder{}
	var all []string
	for _, x := range extractors {
		all = append(all, `{"header_value_extractor":`+x+`}`)
	}
	if err := protojson.Unmarshal([]byte(`{"fragments":[`+strings.Join(all, ",")+`]}`), m); err != nil {
		t.Fatal(err)
	}
	return DecodeScopeKey(m)
}

// The scope of a request is chosen as Envoy's HeaderValueExtractor says.
func TestScopeIsChosen(t *testing.T) {
	const (
		whole = `{"name":"x-a","index":0}`
		third = `{"name":"x-a","element_separator":",","index":2}`
		keyed = `{"name":"x-a","element_separator":";","element":{"separator":"=","key":"vip"}}`
		bare  = `{"name":"x-a","element":{"separator":"=","key":"vip"}}`
		other = `{"name":"x-b","index":0}`
	)
	f := func(extractors []string, headers []string, scope string) {
		t.Helper()
		k, err := scopeKey(t, extractors...)
		if err != nil {
			t.Fatal(err)
		}
		all := &Scopes{By: map[string]*LiveScope{}}
		for _, key := range []string{"", "v", "v=w", "b,v", "a,b,v"} {
			for _, second := range []string{"", "|2"} {
				s := &Scope{Name: key + second}
				raw := appendFragment(nil, []byte(key))
				if second != "" {
					raw = appendFragment(raw, []byte("2"))
				}
				s.Key = string(raw)
				all.By[s.Key] = &LiveScope{Scope: s}
			}
		}
		g := &Scoping{Key: k, Live: new(LiveScopes)}
		g.Live.Store(all)
		h := new(header.Headers)
		for _, line := range headers {
			n, v, _ := strings.Cut(line, ": ")
			h.AddString(header.Intern(n), v)
		}
		got, none := "none", (*LiveScope)(nil)
		s, buf := g.Find(h, nil, nil)
		if s != none {
			got = "scope " + s.Name
		}
		var tr match.Trace
		if explained, _ := g.Find(h, nil, &tr); explained != s || len(tr.Steps) == 0 {
			t.Errorf("%v %v: explained as %v: %v", extractors, headers, explained, tr.Steps)
		}
		if got != scope {
			t.Errorf("%v %v: %s, want %s", extractors, headers, got, scope)
		}
		if n := testing.AllocsPerRun(100, func() { _, buf = g.Find(h, buf, nil) }); n != 0 {
			t.Errorf("%v %v: %v allocations", extractors, headers, n)
		}
	}
	f([]string{whole}, []string{"x-a: v"}, "scope v")
	f([]string{whole}, []string{"x-a: "}, "scope ")
	f([]string{whole}, []string{"x-a: v", "x-a: b"}, "scope v") // the first counts
	f([]string{whole}, []string{"x-a: b", "x-a: v"}, "none")
	f([]string{whole}, []string{"x-b: v"}, "none")
	f([]string{whole}, []string{"x-a: a,b,v"}, "scope a,b,v")
	f([]string{third}, []string{"x-a: a,b,v"}, "scope v")
	f([]string{third}, []string{"x-a: a,b"}, "none")
	f([]string{third}, []string{"x-a: a,b,"}, "scope ")
	f([]string{keyed}, []string{"x-a: a=1;vip=v;vip=w"}, "scope v")
	f([]string{keyed}, []string{"x-a: vip=v=w"}, "scope v=w")
	f([]string{keyed}, []string{"x-a: vip"}, "scope ")
	f([]string{keyed}, []string{"x-a: a=1; vip=v"}, "none") // white space counts
	f([]string{bare}, []string{"x-a: vip=v"}, "scope v")
	f([]string{whole, other}, []string{"x-a: v", "x-b: 2"}, "scope v|2")
	f([]string{whole, other}, []string{"x-a: v"}, "none")
	f([]string{whole, other}, []string{"x-a: v2", "x-b: "}, "none")
}

func TestScopeKeyIsRefused(t *testing.T) {
	f := func(want string, extractors ...string) {
		t.Helper()
		if _, err := scopeKey(t, extractors...); err == nil || err.Error() != want {
			t.Errorf("%v: %v, want %s", extractors, err, want)
		}
	}
	f("fragments: empty")
	f("fragments[0].header_value_extractor: neither index nor element is set", `{"name":"x"}`)
	f("fragments[0].header_value_extractor.index: 1, and no element_separator", `{"name":"x","index":1}`)
	f("fragments[0].header_value_extractor.element.key: empty\nfragments[0].header_value_extractor.element.separator: empty", `{"name":"x","element":{}}`)
}

func TestScopeIsDecoded(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		m := &routev3.ScopedRouteConfiguration{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		ctx := extension.NewContext(extension.NewRegistry(), "s")
		s, err := DecodeScope(m, extension.Source{}, ctx)
		got := fmt.Sprint(err)
		if err == nil {
			got = fmt.Sprintf("%s %q %s table=%v refs=%d", s.Name, s.Fragments, s.RouteName, s.Table != nil, len(ctx.Refs()))
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
	const key = `"name":"s","key":{"fragments":[{"string_key":"a"},{"string_key":"b"}]}`
	f(`{`+key+`,"route_configuration_name":"r"}`, `s ["a" "b"] r table=false refs=1`)
	f(`{`+key+`,"route_configuration_name":"r","on_demand":true}`, `s ["a" "b"] r table=false refs=0`)
	f(`{`+key+`,"route_configuration":{"name":"r"}}`, `s ["a" "b"]  table=true refs=0`)
	f(`{`+key+`}`, `route_configuration_name: unset, and no route_configuration`)
	f(`{`+key+`,"route_configuration_name":"r","route_configuration":{"name":"r"}}`, `route_configuration: set beside route_configuration_name`)
	f(`{"name":"s","route_configuration_name":"r"}`, `key.fragments: empty`)
	f(`{`+key+`,"route_configuration":{"name":"r","virtual_hosts":[{"name":"v"}]}}`, `route_configuration.virtual_hosts[0].domains: empty: the virtual host could never be chosen`)
}
