package rbac

import (
	"bytes"
	"net/netip"
	"strconv"
	"unsafe"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/info"
)

// op says what a rule looks at.
type op uint8

const (
	opAny op = iota
	opAll    // sub: every one
	opOne    // sub: one of them
	opNot    // sub[0]
	opHeader
	opPath
	opServerName
	opDest
	opDestPort
	opSource
	opDirectSource
	opClient
	opAuthenticated
)

// subjects name what a rule looks at, for explanations.
var subjects = [...]string{
	opAny: "anything", opAll: "all rules", opOne: "one of the rules", opNot: "not", opHeader: "header", opPath: "path",
	opServerName: "server name", opDest: "destination address", opDestPort: "destination port", opSource: "source address",
	opDirectSource: "direct remote address", opClient: "remote address", opAuthenticated: "client certificate",
}

// rule is one compiled Permission or Principal.
type rule struct {
	op       op
	sub      []rule
	header   match.Header
	text     match.String
	anyName  bool         // authenticated, by whatever name
	nets     netip.Prefix // IPv4-mapped ranges are IPv4 ranges
	from, to uint32       // ports, to is not one of them
}

// match tells whether the rule does; every branch says why to a trace.
func (r *rule) match(in *Input, tr *match.Trace) bool {
	ok := false
	switch r.op {
	case opAny:
		ok = true
	case opAll:
		ok = allOf(r.sub, in, tr)
	case opOne:
		ok = anyOf(r.sub, in, tr)
	case opNot:
		ok = !r.sub[0].match(in, tr)
	case opHeader:
		// A header matcher notes its own reason.
		return in.Headers != nil && r.header.Match(in.Headers, &in.scratch, tr)
	case opPath:
		ok = len(in.Path) > 0 && r.text.Match(withoutQuery(in.Path)) // CONNECT has none
	case opServerName:
		ok = r.text.Match(in.Conn.ServerName)
	case opDest:
		ok = r.contains(in.Conn.Dest.Addr())
	case opDestPort:
		p := uint32(in.Conn.Dest.Port())
		ok = r.from <= p && p < r.to
	case opSource:
		ok = r.contains(in.Conn.Source.Addr())
	case opDirectSource:
		ok = r.contains(in.Conn.DirectSource.Addr())
	case opClient:
		ok = r.contains(in.client())
	case opAuthenticated:
		// As Envoy does: whoever speaks TLS has a name, the empty one without a
		// certificate. Anything stricter would be laxer in a DENY policy or below not_id.
		ok = in.Conn.TLSVersion != "" && (r.anyName || r.named(in.Conn.PeerCertificate))
	}
	if tr != nil {
		r.explain(in, ok, tr)
	}
	return ok
}

func allOf(l []rule, in *Input, tr *match.Trace) bool {
	for i := range l {
		if !l[i].match(in, tr) {
			return false
		}
	}
	return true
}

func anyOf(l []rule, in *Input, tr *match.Trace) bool {
	for i := range l {
		if l[i].match(in, tr) {
			return true
		}
	}
	return false
}

func (r *rule) contains(a netip.Addr) bool { return r.nets.Contains(a.Unmap().WithZone("")) }

// client is the address that remote_ip looks at.
func (in *Input) client() netip.Addr {
	if in.Client.IsValid() {
		return in.Client
	}
	return in.Conn.Source.Addr()
}

// named looks for the principal in the URIs, then the DNS names, then the subject
// (Envoy: AuthenticatedMatcher).
func (r *rule) named(c *info.Certificate) bool {
	if c == nil {
		return r.text.Match(nil)
	}
	for _, u := range c.URIs {
		if r.text.Match(view(u)) {
			return true
		}
	}
	for _, n := range c.DNSNames {
		if r.text.Match(view(n)) {
			return true
		}
	}
	return r.text.Match(view(c.Subject))
}

// view gives the bytes of a string, which matchers only read: a copy of a long name
// would be made for each request.
func view(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// withoutQuery is the path that url_path matches (Envoy: PathMatcher).
func withoutQuery(p []byte) []byte {
	if i := bytes.IndexAny(p, "?#"); i >= 0 {
		return p[:i]
	}
	return p
}

func (r *rule) explain(in *Input, ok bool, tr *match.Trace) {
	subject := subjects[r.op]
	switch r.op {
	case opPath:
		tr.Note(ok, subject, "is %q, wanted: %s", withoutQuery(in.Path), r.text.String())
	case opServerName:
		tr.Note(ok, subject, "is %q, wanted: %s", in.Conn.ServerName, r.text.String())
	case opDest:
		tr.Note(ok, subject, "is %s, wanted: %s", in.Conn.Dest.Addr(), r.nets)
	case opDestPort:
		tr.Note(ok, subject, "is %d, wanted: [%d, %d)", in.Conn.Dest.Port(), r.from, r.to)
	case opSource:
		tr.Note(ok, subject, "is %s, wanted: %s", in.Conn.Source.Addr(), r.nets)
	case opDirectSource:
		tr.Note(ok, subject, "is %s, wanted: %s", in.Conn.DirectSource.Addr(), r.nets)
	case opClient:
		tr.Note(ok, subject, "is %s, wanted: %s", in.client(), r.nets)
	case opAuthenticated:
		wanted := "any"
		if !r.anyName {
			wanted = r.text.String()
		}
		tr.Note(ok, subject, "is %s, wanted: %s", principal(in.Conn), wanted)
	default:
		tr.Note(ok, subject, "%s", matches(ok))
	}
}

// principal says who a client is, for explanations.
func principal(c *info.Conn) string {
	switch p := c.PeerCertificate; {
	case c.TLSVersion == "":
		return "absent: this is not TLS"
	case p == nil:
		return `absent, so its name is ""`
	case len(p.URIs) > 0:
		return strconv.Quote(p.URIs[0])
	case len(p.DNSNames) > 0:
		return strconv.Quote(p.DNSNames[0])
	default:
		return strconv.Quote(p.Subject)
	}
}
