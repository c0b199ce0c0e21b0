package tree

import (
	"fmt"
	"strings"
	"testing"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	act  = `{action: {name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: a}}}`
	port = `{name: i, typed_config: {"@type": type.googleapis.com/envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput}}`
)

// typed is an extension with that configuration.
func typed(name, fields string) string {
	if fields != "" {
		fields = ", " + fields
	}
	return `{name: x, typed_config: {"@type": type.googleapis.com/` + name + fields + `}}`
}

// of is a list with one single predicate.
func of(input, matcher string) string {
	return "matcher_list: {matchers: [{predicate: {single_predicate: {input: " + input + ", " + matcher + "}}, on_match: " + act + "}]}"
}

func TestErrorsHavePaths(t *testing.T) {
	const (
		single = "matcher_list.matchers[0].predicate.single_predicate"
		custom = "matcher_tree.custom_match"
		exact  = "value_match: {exact: a}"
	)
	ip := "envoy.extensions.matching.input_matchers.ip.v3.Ip"
	for _, c := range []struct{ yaml, want string }{
		{`matcher_list: {}`, "matcher_list.matchers: empty"},
		{`on_no_match: {}`, "on_no_match: unset (one of matcher, action)"},
		{`on_no_match: {action: {}}`, "on_no_match.action.name: empty\non_no_match.action.typed_config: unset\non_no_match.action: not a google.protobuf.StringValue"},
		{
			`on_no_match: {action: ` + typed("google.protobuf.BoolValue", "value: true") + `}`,
			"on_no_match.action: not a google.protobuf.StringValue",
		},
		{`on_no_match: {keep_matching: true, matcher: {}}`, "on_no_match.keep_matching: not supported here: one action is taken"},
		{
			`matcher_list: {matchers: [{}]}`,
			"matcher_list.matchers[0].predicate: unset (one of single_predicate, or_matcher, and_matcher, not_matcher)\n" +
				"matcher_list.matchers[0].on_match: unset (one of matcher, action)",
		},
		{
			`matcher_list: {matchers: [{predicate: {or_matcher: {predicate: [{not_matcher: {}}]}}, on_match: ` + act + `}]}`,
			"matcher_list.matchers[0].predicate.or_matcher.predicate: has 1 items, at least 2 are wanted\n" +
				"matcher_list.matchers[0].predicate.or_matcher.predicate[0].not_matcher: unset (one of single_predicate, or_matcher, and_matcher, not_matcher)",
		},
		{of(port, ""), single + ": unset (one of value_match, custom_match)"},
		{of(port, "value_match: {}"), single + ".value_match.match_pattern: unset (one of exact, prefix, suffix, contains, safe_regex)"},
		{of(port, "value_match: {safe_regex: {regex: '('}}"), single + ".value_match.safe_regex.regex: not an RE2 pattern: missing closing ): `(`"},
		{of(port, "value_match: {custom: {name: a}}"), single + ".value_match.custom: unsupported (supported: exact, prefix, suffix, contains, safe_regex)"},
		{of("{name: x}", exact), single + ".input.typed_config: unset"},
		{
			of(typed("envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput", "filter: a, path: [{key: b}]"), exact),
			single + ".input.typed_config: unsupported input envoy.extensions.matching.common_inputs.network.v3.DynamicMetadataInput (supported: " + supportedInputs + ")",
		},
		{
			of(typed("xds.type.matcher.v3.HttpAttributesCelMatchInput", ""), exact),
			single + ".input.typed_config: unsupported input xds.type.matcher.v3.HttpAttributesCelMatchInput (supported: " + supportedInputs + ")",
		},
		{
			of(typed("envoy.type.matcher.v3.HttpRequestHeaderMatchInput", "header_name: 'a b'"), exact),
			single + `.input.typed_config.header_name: not a header name: "a b"`,
		},
		{of(typed("envoy.type.matcher.v3.HttpRequestQueryParamMatchInput", ""), exact), single + ".input.typed_config.query_param: empty"},
		{
			of(typed("envoy.type.matcher.v3.HttpResponseHeaderMatchInput", "header_name: a"), exact),
			single + ".input.typed_config: envoy.type.matcher.v3.HttpResponseHeaderMatchInput is not known here",
		},
		{
			of(`{name: x, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: a/envoy.type.matcher.v3.HttpRequestHeaderMatchInput, value: {header_name: ""}}}`, exact),
			single + ".input.typed_config.value.header_name: empty",
		},
		{
			of(port, "custom_match: "+typed("envoy.extensions.matching.input_matchers.metadata.v3.Metadata", "")),
			single + ".custom_match.typed_config: unsupported matcher envoy.extensions.matching.input_matchers.metadata.v3.Metadata (supported: " + ip + ", or value_match)",
		},
		{of(port, "custom_match: "+typed(ip, "")), single + ".custom_match.typed_config.cidr_ranges: empty"},
		{
			of(port, "custom_match: "+typed(ip, "cidr_ranges: [{address_prefix: 1.2.3.4, prefix_len: 33}]")),
			single + ".custom_match.typed_config.cidr_ranges[0].prefix_len: 33 is more than the 32 bits of 1.2.3.4",
		},
		{"matcher_tree: {input: " + port + "}", "matcher_tree: unset (one of exact_match_map, prefix_match_map, custom_match)"},
		{"matcher_tree: {input: " + port + ", exact_match_map: {}}", "matcher_tree.exact_match_map.map: empty"},
		{
			"matcher_tree: {input: " + port + ", prefix_match_map: {map: {b: {}, a: {}}}}",
			"matcher_tree.prefix_match_map.map[\"a\"]: unset (one of matcher, action)\nmatcher_tree.prefix_match_map.map[\"b\"]: unset (one of matcher, action)",
		},
		{
			"matcher_tree: {input: " + port + ", custom_match: " + typed("xds.type.matcher.v3.CelMatcher", "") + "}",
			custom + ".typed_config: unsupported matcher xds.type.matcher.v3.CelMatcher (supported: xds.type.matcher.v3.IPMatcher, xds.type.matcher.v3.ServerNameMatcher)",
		},
		{
			"matcher_tree: {input: " + port + ", custom_match: " + typed("xds.type.matcher.v3.IPMatcher", "range_matchers: [{ranges: [{address_prefix: a}], on_match: "+act+"}, {on_match: "+act+"}]") + "}",
			custom + ".typed_config.range_matchers[0].ranges[0].address_prefix: not an IP address: \"a\"\n" + custom + ".typed_config.range_matchers[1].ranges: empty",
		},
		{"matcher_tree: {input: " + port + ", custom_match: " + typed("xds.type.matcher.v3.IPMatcher", "") + "}", custom + ".typed_config.range_matchers: empty"},
		{
			"matcher_tree: {input: " + port + ", custom_match: " + typed("xds.type.matcher.v3.ServerNameMatcher", "domain_matchers: [{domains: [a, '', 'a*', '*.', '*.*', '**', a, '*.b', '*', '*'], on_match: "+act+"}, {domains: ['*.b', b], on_match: "+act+"}, {on_match: "+act+"}]") + "}",
			domainErrors(custom + ".typed_config.domain_matchers"),
		},
		{"matcher_tree: {input: " + port + ", custom_match: " + typed("xds.type.matcher.v3.ServerNameMatcher", "") + "}", custom + ".typed_config.domain_matchers: empty"},
	} {
		_, err := Decode(parse(t, c.yaml), Options{Inputs: Connection | Certificate | Request}, word)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s\ngot  %v\nwant %s", c.yaml, err, c.want)
		}
	}
}

const supportedInputs = "addresses and names of the connection, the client's certificate, request and response headers, query parameters"

func domainErrors(at string) string {
	const wild = `: a wildcard stands alone or for whole labels at the front, as in *.example.com`
	return at + "[0].domains[1]: empty\n" +
		at + `[0].domains[2]: "a*"` + wild + "\n" +
		at + `[0].domains[3]: "*."` + wild + "\n" +
		at + `[0].domains[4]: "*.*"` + wild + "\n" +
		at + `[0].domains[5]: "**"` + wild + "\n" +
		at + `[0].domains[6]: "a" is there twice` + "\n" +
		at + `[0].domains[9]: "*" is there twice` + "\n" +
		at + `[1].domains[0]: "*.b" is there twice` + "\n" +
		at + "[2].domains: empty"
}

// A matcher of nothing, and no matcher at all, match nothing.
func TestNothingMatchesNothing(t *testing.T) {
	tr, err := Decode(nil, Options{}, word)
	if err != nil {
		t.Fatal(err)
	}
	if a, ok := tr.Match(&Input{}, nil); ok {
		t.Errorf("took %q", a)
	}
	if _, ok := (*Tree[string])(nil).Match(&Input{}, nil); ok || (*Tree[string])(nil).Len() != 0 {
		t.Error("a nil tree matches")
	}
}

func TestInputsOfOtherPlacesAreRefused(t *testing.T) {
	const want = "matcher_list.matchers[0].predicate.single_predicate.input.typed_config: " +
		"envoy.extensions.matching.common_inputs.network.v3.DestinationPortInput is not known here"
	if _, err := Decode(parse(t, of(port, "value_match: {exact: a}")), Options{Inputs: Request}, word); err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}

func TestLimits(t *testing.T) {
	deep := &matcherv3.Matcher{}
	for range 10_000 {
		deep = &matcherv3.Matcher{OnNoMatch: &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Matcher{Matcher: deep}}}
	}
	if _, err := Decode(deep, Options{}, word); err == nil || !strings.HasSuffix(err.Error(), ": nested deeper than 32") {
		t.Errorf("deep matchers: %v", err)
	}
	p := &matcherv3.Matcher_MatcherList_Predicate{}
	for range 10_000 {
		p = &matcherv3.Matcher_MatcherList_Predicate{MatchType: &matcherv3.Matcher_MatcherList_Predicate_NotMatcher{NotMatcher: p}}
	}
	nots := &matcherv3.Matcher{MatcherType: &matcherv3.Matcher_MatcherList_{MatcherList: &matcherv3.Matcher_MatcherList{
		Matchers: []*matcherv3.Matcher_MatcherList_FieldMatcher{{Predicate: p, OnMatch: action("a")}},
	}}}
	if _, err := Decode(nots, Options{}, word); err == nil || !strings.HasSuffix(err.Error(), ": nested deeper than 32") {
		t.Errorf("deep predicates: %v", err)
	}
	m := map[string]*matcherv3.Matcher_OnMatch{}
	for i := range maxSize {
		m[fmt.Sprint(i)] = action("a")
	}
	wide := parse(t, "matcher_tree: {input: "+port+", exact_match_map: {}}")
	wide.GetMatcherTree().GetExactMatchMap().Map = m
	want := fmt.Sprintf("larger than %d matchers, predicates and entries", maxSize)
	if _, err := Decode(wide, Options{Inputs: Connection}, word); err == nil || err.Error() != want {
		t.Errorf("wide: %v", err)
	}
}

// action is an OnMatch of a word.
func action(w string) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{Action: extend(wrapperspb.String(w))}}
}

func extend(m proto.Message) *xdscorev3.TypedExtensionConfig {
	a, err := anypb.New(m)
	if err != nil {
		panic(err)
	}
	return &xdscorev3.TypedExtensionConfig{Name: "x", TypedConfig: a}
}
