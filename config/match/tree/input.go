package tree

import (
	"net/netip"
	"strconv"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// An Input is what a question is about. Fields that are nil are not there yet. It is reused from one question to the next, for
// it owns the memory in which values are put together; it is for one goroutine at a time. The zero value is ready.
type Input struct {
	Conn     *info.Conn
	Request  *header.Headers
	Response *header.Headers
	// Source is the client's address as known for the request (Envoy: the stream's downstream remote address, which
	// x-forwarded-for may have set); the connection's Source when it is not valid.
	Source netip.AddrPort

	buf []byte
}

// presence tells whether an input has a value.
type presence uint8

const (
	missing presence = iota // not there (Envoy: NotAvailable): nothing can be told
	absent                  // there is none
	present
)

// kind is what an input reads.
type kind uint8

const (
	destinationIP kind = iota
	destinationPort
	sourceIP
	sourcePort
	directSourceIP
	sourceType
	serverName
	transportProtocol
	applicationProtocol
	uriSAN
	dnsSAN
	subject
	nameCheck
	echOuter
	requestHeader
	responseHeader
	queryParam
)

// input is a compiled data input.
type input struct {
	kind kind
	name header.Name // of a header
	key  string      // of a query parameter
}

// String names the input for traces.
func (i *input) String() string {
	switch i.kind {
	case requestHeader:
		return "header " + i.name.String()
	case responseHeader:
		return "response header " + i.name.String()
	case queryParam:
		return "query parameter " + i.key
	}
	return [...]string{
		"destination IP", "destination port", "source IP", "source port", "direct source IP", "source type", "server name",
		"transport protocol", "application protocol", "URI SAN", "DNS SAN", "subject", "name check", "ECH",
	}[i.kind]
}

// show prints the value for traces.
func (i *input) show(in *Input) string {
	v, have := i.value(in)
	switch have {
	case missing:
		return "not there"
	case absent:
		return "absent"
	}
	return strconv.Quote(string(v))
}

// endpoint is the address that the input reads; ok is false for inputs of other kinds.
func (i *input) endpoint(in *Input) (a netip.AddrPort, ok bool) {
	switch i.kind {
	case destinationIP, destinationPort:
		return in.Conn.Dest, true
	case sourceIP, sourcePort:
		return in.source(), true
	case directSourceIP:
		return in.Conn.DirectSource, true
	}
	return netip.AddrPort{}, false
}

// source is the client's address.
func (in *Input) source() netip.AddrPort {
	if in.Source.IsValid() {
		return in.Source
	}
	return in.Conn.Source
}

// addr reads the input as an IP address, IPv4 in its own form and without zone; a text that is none is absent.
func (i *input) addr(in *Input) (netip.Addr, presence) {
	if i.kind == destinationIP || i.kind == sourceIP || i.kind == directSourceIP {
		if in.Conn == nil {
			return netip.Addr{}, missing
		}
		e, _ := i.endpoint(in)
		a := e.Addr().Unmap().WithZone("")
		if !a.IsValid() {
			return a, absent
		}
		return a, present
	}
	v, have := i.value(in)
	if have != present {
		return netip.Addr{}, have
	}
	a, ok := parseAddr(v)
	if !ok {
		return a, absent
	}
	return a, present
}

// value reads the input as Envoy's text of it. The text lives until the next value is read.
func (i *input) value(in *Input) ([]byte, presence) {
	switch i.kind {
	case requestHeader:
		return i.header(in.Request, in)
	case responseHeader:
		return i.header(in.Response, in)
	case queryParam:
		return i.query(in)
	}
	if in.Conn == nil {
		return nil, missing
	}
	if e, ok := i.endpoint(in); ok {
		a := e.Addr().Unmap().WithZone("")
		switch {
		case !a.IsValid():
			return nil, absent
		case i.kind == destinationPort || i.kind == sourcePort:
			in.buf = strconv.AppendUint(in.buf[:0], uint64(e.Port()), 10)
		default:
			in.buf = a.AppendTo(in.buf[:0])
		}
		return in.buf, present
	}
	switch i.kind {
	case sourceType:
		if !in.local() {
			return nil, absent
		}
		return in.text("local")
	case serverName:
		if len(in.Conn.ServerName) == 0 {
			return nil, absent
		}
		return in.Conn.ServerName, present
	case transportProtocol:
		if in.Conn.Transport == "" { // what no listener filter recognised
			return in.text(string(info.RawBuffer))
		}
		return in.text(string(in.Conn.Transport))
	case applicationProtocol:
		return in.protocols()
	case nameCheck:
		return in.text(string(in.Conn.NameCheck))
	case echOuter:
		if !in.Conn.ECH {
			return nil, absent
		}
		return in.text("outer")
	}
	return i.certificate(in)
}

func (in *Input) text(s string) ([]byte, presence) {
	if s == "" {
		return nil, absent
	}
	in.buf = append(in.buf[:0], s...)
	return in.buf, present
}

// protocols gives ALPN as Envoy writes it: each name in quotes, commas between: 'h2','http/1.1'.
func (in *Input) protocols() ([]byte, presence) {
	if len(in.Conn.ALPN) == 0 {
		return nil, absent
	}
	b := in.buf[:0]
	for n, p := range in.Conn.ALPN {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, '\''), p...), '\'')
	}
	in.buf = b
	return b, present
}

// local is Envoy's Utility::isSameIpOrLoopback: of the loopback addresses only 127.0.0.1 and ::1 count, and a client without an
// IP address is local.
func (in *Input) local() bool {
	a := in.Conn.Source.Addr().Unmap().WithZone("")
	return !a.IsValid() || a == netip.AddrFrom4([4]byte{127, 0, 0, 1}) || a == netip.IPv6Loopback() ||
		a == in.Conn.Dest.Addr().Unmap().WithZone("")
}

// header gives all fields of the name joined with "," (Envoy: HttpHeadersDataInputBase).
func (i *input) header(h *header.Headers, in *Input) ([]byte, presence) {
	if h == nil {
		return nil, missing
	}
	v, grown, ok := h.Joined(i.name, in.buf)
	in.buf = grown
	if !ok {
		return nil, absent
	}
	return v, present
}

// certificate reads the client's certificate: not there without TLS, absent when it has none. Names are joined with ",".
func (i *input) certificate(in *Input) ([]byte, presence) {
	c := in.Conn
	p := c.PeerCertificate
	if p == nil {
		if c.TLSVersion == "" && c.LocalCertificate == nil {
			return nil, missing
		}
		return nil, absent
	}
	names := p.URIs
	switch i.kind {
	case subject:
		return in.text(p.Subject)
	case dnsSAN:
		names = p.DNSNames
	}
	if len(names) == 0 {
		return nil, absent
	}
	b := in.buf[:0]
	for n, s := range names {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(b, s...)
	}
	in.buf = b
	return b, present
}

// query gives the first parameter of the name, both percent-decoded (Envoy: HttpRequestQueryParamsDataInput).
func (i *input) query(in *Input) ([]byte, presence) {
	if in.Request == nil {
		return nil, missing
	}
	path, ok := in.Request.Get(header.Path)
	if !ok {
		return nil, missing
	}
	v, ok := param(path, i.key)
	if !ok {
		return nil, absent
	}
	in.buf = appendDecoded(in.buf[:0], v)
	return in.buf, present
}
