package tree

import (
	"net/netip"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	networkv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/network/v3"
	sslv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/common_inputs/ssl/v3"
	ipv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/matching/input_matchers/ip/v3"
	typematcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/proxy/header"
)

// unpack gives the message in a typed configuration and the path of its fields; nil with an error recorded.
func (d *decoder[A]) unpack(at string, c *xdscorev3.TypedExtensionConfig) (proto.Message, string) {
	d.named(at, c)
	at += ".typed_config"
	if c.GetTypedConfig() == nil {
		return nil, at
	}
	m, err := yamlproto.Unpack(c.TypedConfig, nil)
	if err == nil && yamlproto.IsTypedStruct(m) {
		m, err = yamlproto.FromTypedStruct(m, nil)
		at += ".value"
	}
	if err != nil {
		d.errs.Add(at, err)
		return nil, at
	}
	return m, at
}

// refuse records an extension of a type that is not supported.
func (d *decoder[A]) refuse(at, what string, m proto.Message, supported string) {
	d.errs.Addf(at, "unsupported %s %s (supported: %s)", what, m.ProtoReflect().Descriptor().FullName(), supported)
}

// input compiles a data input.
func (d *decoder[A]) input(at string, c *xdscorev3.TypedExtensionConfig) input {
	if in, ok := d.own(at, c); ok {
		return in
	}
	m, at := d.unpack(at, c)
	if m == nil {
		return input{}
	}
	in, group := input{}, Connection
	switch m := m.(type) {
	case *networkv3.DestinationIPInput:
		in.kind = destinationIP
	case *networkv3.DestinationPortInput:
		in.kind = destinationPort
	case *networkv3.SourceIPInput:
		in.kind = sourceIP
	case *networkv3.SourcePortInput:
		in.kind = sourcePort
	case *networkv3.DirectSourceIPInput:
		in.kind = directSourceIP
	case *networkv3.SourceTypeInput:
		in.kind = sourceType
	case *networkv3.ServerNameInput:
		in.kind = serverName
	case *networkv3.TransportProtocolInput:
		in.kind = transportProtocol
	case *networkv3.ApplicationProtocolInput:
		in.kind = applicationProtocol
	case *sslv3.UriSanInput:
		in.kind, group = uriSAN, Certificate
	case *sslv3.DnsSanInput:
		in.kind, group = dnsSAN, Certificate
	case *sslv3.SubjectInput:
		in.kind, group = subject, Certificate
	case *typematcherv3.HttpRequestHeaderMatchInput:
		in, group = input{kind: requestHeader, name: d.headerName(at, m.HeaderName)}, Request
	case *typematcherv3.HttpResponseHeaderMatchInput:
		in, group = input{kind: responseHeader, name: d.headerName(at, m.HeaderName)}, Response
	case *typematcherv3.HttpRequestQueryParamMatchInput:
		if m.QueryParam == "" {
			d.errs.Addf(at+".query_param", "empty")
		}
		in, group = input{kind: queryParam, key: m.QueryParam}, Request
	default:
		d.refuse(at, "input", m, "addresses and names of the connection, the client's certificate, request and response headers, query parameters")
		return input{}
	}
	if d.opts.Inputs&group == 0 {
		d.errs.Addf(at, "%s is not known here", m.ProtoReflect().Descriptor().FullName())
	}
	return in
}

// The types of inputs that Weir has and Envoy has not, in a TypedStruct with an empty value.
const (
	nameCheckType = "type.googleapis.com/weir.matching.NameCheckInput"
	echType       = "type.googleapis.com/weir.matching.EncryptedClientHelloInput"
)

// own compiles a data input of Weir's own; ok is false for all others.
func (d *decoder[A]) own(at string, c *xdscorev3.TypedExtensionConfig) (in input, ok bool) {
	if c.GetTypedConfig() == nil {
		return input{}, false
	}
	m, err := yamlproto.Unpack(c.TypedConfig, nil)
	if err != nil || !yamlproto.IsTypedStruct(m) {
		return input{}, false
	}
	url, v := yamlproto.TypedStructParts(m)
	switch url {
	case nameCheckType:
		in.kind = nameCheck
	case echType:
		in.kind = echOuter
	default:
		return input{}, false
	}
	d.named(at, c)
	if len(v.GetFields()) > 0 {
		d.errs.Addf(at+".typed_config.value", "has no fields")
	}
	if d.opts.Inputs&Connection == 0 {
		d.errs.Addf(at+".typed_config", "%s is not known here", url)
	}
	return in, true
}

func (d *decoder[A]) headerName(at, name string) header.Name {
	d.errs.Add(at+".header_name", match.HeaderName(name))
	return header.Intern(name)
}

// single compiles a predicate of one input.
func (d *decoder[A]) single(at string, p *matcherv3.Matcher_MatcherList_Predicate_SinglePredicate) predicate {
	s := &single{from: d.input(at+".input", p.GetInput())}
	switch t := p.GetMatcher().(type) {
	case *matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_ValueMatch:
		text, err := match.NewString(stringMatcher(t.ValueMatch))
		d.errs.Add(at+".value_match", err)
		s.text = text
	case *matcherv3.Matcher_MatcherList_Predicate_SinglePredicate_CustomMatch:
		m, at := d.unpack(at+".custom_match", t.CustomMatch)
		if m == nil {
			break
		}
		ip, ok := m.(*ipv3.Ip)
		if !ok {
			d.refuse(at, "matcher", m, "envoy.extensions.matching.input_matchers.ip.v3.Ip, or value_match")
			break
		}
		if len(ip.CidrRanges) == 0 {
			d.errs.Addf(at+".cidr_ranges", "empty")
		}
		d.size += len(ip.CidrRanges)
		ranges, err := match.NewCIDRs("cidr_ranges", ip.CidrRanges)
		d.errs.Add(at, err)
		s.ips = ranges
	default:
		d.errs.Addf(at, "unset (one of value_match, custom_match)")
	}
	return s
}

// stringMatcher turns xDS's StringMatcher into Envoy's, which has the same fields; nil stays nil.
func stringMatcher(m *matcherv3.StringMatcher) *typematcherv3.StringMatcher {
	if m == nil {
		return nil
	}
	out := &typematcherv3.StringMatcher{IgnoreCase: m.IgnoreCase}
	switch p := m.MatchPattern.(type) {
	case *matcherv3.StringMatcher_Exact:
		out.MatchPattern = &typematcherv3.StringMatcher_Exact{Exact: p.Exact}
	case *matcherv3.StringMatcher_Prefix:
		out.MatchPattern = &typematcherv3.StringMatcher_Prefix{Prefix: p.Prefix}
	case *matcherv3.StringMatcher_Suffix:
		out.MatchPattern = &typematcherv3.StringMatcher_Suffix{Suffix: p.Suffix}
	case *matcherv3.StringMatcher_Contains:
		out.MatchPattern = &typematcherv3.StringMatcher_Contains{Contains: p.Contains}
	case *matcherv3.StringMatcher_SafeRegex:
		out.MatchPattern = &typematcherv3.StringMatcher_SafeRegex{
			SafeRegex: &typematcherv3.RegexMatcher{Regex: p.SafeRegex.GetRegex()},
		}
	case *matcherv3.StringMatcher_Custom:
		out.MatchPattern = &typematcherv3.StringMatcher_Custom{}
	}
	return out
}

// custom compiles matcher_tree.custom_match.
func (d *decoder[A]) custom(at string, from input, c *xdscorev3.TypedExtensionConfig, depth int) lookup[A] {
	m, at := d.unpack(at, c)
	switch m := m.(type) {
	case *matcherv3.IPMatcher:
		return d.ranges(at, from, m, depth)
	case *matcherv3.ServerNameMatcher:
		return d.domains(at, from, m, depth)
	case nil:
	default:
		d.refuse(at, "matcher", m, "xds.type.matcher.v3.IPMatcher, xds.type.matcher.v3.ServerNameMatcher")
	}
	return &exactly[A]{from: from}
}

func (d *decoder[A]) ranges(at string, from input, m *matcherv3.IPMatcher, depth int) lookup[A] {
	l := &ranges[A]{from: from, by: map[netip.Prefix][]ranged[A]{}}
	at += ".range_matchers"
	if len(m.RangeMatchers) == 0 {
		d.errs.Addf(at, "empty")
	}
	for i, r := range m.RangeMatchers {
		path := fielderr.Index(at, i)
		then := d.onMatch(path+".on_match", r.GetOnMatch(), depth+1)
		if len(r.GetRanges()) == 0 {
			d.errs.Addf(path+".ranges", "empty")
		}
		for j, c := range r.GetRanges() {
			if d.size++; d.size > maxSize {
				return l
			}
			p, err := match.NewPrefix(&corev3.CidrRange{AddressPrefix: c.GetAddressPrefix(), PrefixLen: c.GetPrefixLen()})
			if err != nil {
				d.errs.Add(fielderr.Index(path+".ranges", j), err)
				continue
			}
			if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 { // addresses are looked up in IPv4's own form
				p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
			}
			l.add(p, ranged[A]{r.GetExclusive(), then})
		}
	}
	return l
}
