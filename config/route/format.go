package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// Vars is what header values with %OPERATORS% are made of. A nil field leaves
// the operators that need it empty.
type Vars struct {
	Conn     *info.Conn
	Stream   *info.Stream
	Request  *header.Headers
	Response *header.Headers
	Hostname string // of the machine, for %HOSTNAME%
}

// A Format is a compiled header value: plain text and command operators. It is
// immutable.
type Format struct {
	text  string // the value when parts is nil
	parts []part
}

// part is a piece of text or an operator.
type part struct {
	op     operator
	text   string
	name   header.Name // REQ, RESP …
	alt    header.Name // … and the one after "?"
	layout timeLayout  // START_TIME
	max    int         // :N, bytes; 0 is no limit
}

// Static gives the value when it has no operators.
func (f *Format) Static() (string, bool) { return f.text, f.parts == nil }

// ParseFormat compiles a header value. "%%" is a percent sign; an operator that
// is not known here is an error (Envoy: custom request and response headers).
func ParseFormat(s string) (Format, error) {
	if strings.IndexByte(s, '%') < 0 {
		return Format{text: s}, nil
	}
	var f Format
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			f.parts = append(f.parts, part{text: text.String()})
			text.Reset()
		}
	}
	for s != "" {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			text.WriteString(s)
			break
		}
		text.WriteString(s[:i])
		s = s[i+1:]
		if strings.HasPrefix(s, "%") {
			text.WriteByte('%')
			s = s[1:]
			continue
		}
		p, rest, err := parseOperator(s)
		if err != nil {
			return Format{}, err
		}
		flush()
		f.parts = append(f.parts, p)
		s = rest
	}
	if len(f.parts) == 0 {
		return Format{text: text.String()}, nil
	}
	flush()
	return f, nil
}

// parseOperator reads `NAME(args):N%` and gives what follows.
func parseOperator(s string) (p part, rest string, err error) {
	n := 0
	for n < len(s) && (s[n] == '_' || 'A' <= s[n] && s[n] <= 'Z' || '0' <= s[n] && s[n] <= '9') {
		n++
	}
	name := s[:n]
	rest = s[n:]
	args, hasArgs := "", false
	if strings.HasPrefix(rest, "(") {
		// The arguments of START_TIME have percent signs themselves.
		end := strings.Index(rest, ")")
		if end < 0 {
			return p, "", fmt.Errorf("%%%s: parenthesis not closed", name)
		}
		args, hasArgs, rest = rest[1:end], true, rest[end+1:]
	}
	if strings.HasPrefix(rest, ":") {
		end := strings.IndexByte(rest, '%')
		if end < 0 {
			return p, "", fmt.Errorf("%%%s: closing %% not found", name)
		}
		p.max, err = strconv.Atoi(rest[1:end])
		if err != nil || p.max <= 0 {
			return p, "", fmt.Errorf("%%%s%%: not a length: %q", name, rest[1:end])
		}
		rest = rest[end:]
	}
	if name == "" || !strings.HasPrefix(rest, "%") {
		return p, "", errors.New("a single % begins an operator that does not end (write %% for a percent sign)")
	}
	rest = rest[1:]
	p.op = operatorNamed(name)
	switch {
	case p.op == opText:
		return p, "", fmt.Errorf("unknown operator %%%s%%%s", name, suggest(name, operatorNames[1:]))
	case p.op == opReq || p.op == opResp:
		err = p.headers(args)
	case p.op == opStartTime:
		if args == "" {
			args = "%Y-%m-%dT%H:%M:%E3SZ" // Envoy's default
		}
		p.layout, err = parseTimeLayout(args)
	case hasArgs:
		err = errors.New("takes no arguments")
	}
	if err != nil {
		return p, "", fmt.Errorf("%%%s%%: %w", name, err)
	}
	return p, rest, nil
}

// headers reads "X" or "X?Y".
func (p *part) headers(args string) error {
	first, second, two := strings.Cut(args, "?")
	if first == "" || two && second == "" {
		return errors.New("wants a header name")
	}
	p.name = header.Intern(first)
	if two {
		p.alt = header.Intern(second)
	}
	return nil
}

// Append writes the value. It allocates nothing beyond dst's growth.
func (f *Format) Append(dst []byte, v *Vars) []byte {
	if f.parts == nil {
		return append(dst, f.text...)
	}
	for i := range f.parts {
		p := &f.parts[i]
		start := len(dst)
		if p.op == opText {
			dst = append(dst, p.text...)
		} else if v != nil {
			dst = p.append(dst, v)
		}
		if p.max > 0 && len(dst)-start > p.max {
			dst = dst[:start+p.max]
		}
	}
	return dst
}

// append writes an operator's value; nothing when it has none.
func (p *part) append(dst []byte, v *Vars) []byte {
	switch p.op {
	case opReq:
		return appendHeader(dst, v.Request, p)
	case opResp:
		return appendHeader(dst, v.Response, p)
	case opHostname:
		return append(dst, v.Hostname...)
	}
	if v.Conn != nil && p.op < firstStreamOperator {
		return p.appendConn(dst, v.Conn)
	}
	if v.Stream != nil && p.op >= firstStreamOperator {
		return p.appendStream(dst, v.Stream)
	}
	return dst
}

func appendHeader(dst []byte, h *header.Headers, p *part) []byte {
	if h == nil {
		return dst
	}
	v, ok := h.Get(p.name)
	if !ok && (p.alt != header.Name{}) {
		v, _ = h.Get(p.alt)
	}
	return append(dst, v...)
}

func (p *part) appendConn(dst []byte, c *info.Conn) []byte {
	switch p.op {
	case opRemote:
		return appendAddrPort(dst, c.Source)
	case opRemoteIP:
		return appendAddr(dst, c.Source)
	case opRemotePort:
		return appendPort(dst, c.Source)
	case opDirect:
		return appendAddrPort(dst, c.DirectSource)
	case opDirectIP:
		return appendAddr(dst, c.DirectSource)
	case opLocal:
		return appendAddrPort(dst, c.Dest)
	case opLocalIP:
		return appendAddr(dst, c.Dest)
	case opLocalPort:
		return appendPort(dst, c.Dest)
	case opServerName:
		return append(dst, c.ServerName...)
	case opTLSVersion:
		return append(dst, c.TLSVersion...)
	case opTLSCipher:
		return append(dst, c.TLSCipher...)
	case opConnectionID:
		return strconv.AppendUint(dst, c.ID, 10)
	case opFilterChain:
		return append(dst, c.FilterChain...)
	}
	return dst
}

func (p *part) appendStream(dst []byte, s *info.Stream) []byte {
	switch p.op {
	case opProtocol:
		if s.Protocol != info.NoProtocol {
			return append(dst, s.Protocol.String()...)
		}
	case opStartTime:
		if !s.Start.IsZero() {
			return p.layout.append(dst, s.Start)
		}
	case opUpstream:
		return appendAddrPort(dst, s.UpstreamHost)
	case opUpstreamIP:
		return appendAddr(dst, s.UpstreamHost)
	case opUpstreamPort:
		return appendPort(dst, s.UpstreamHost)
	case opUpstreamLocal:
		return appendAddrPort(dst, s.UpstreamLocal)
	case opUpstreamLocalIP:
		return appendAddr(dst, s.UpstreamLocal)
	case opCluster:
		return append(dst, s.Cluster...)
	case opRouteName:
		return append(dst, s.Route...)
	case opCode:
		if s.Code != 0 {
			return strconv.AppendInt(dst, int64(s.Code), 10)
		}
	case opDetails:
		return append(dst, s.Details...)
	case opFlags:
		return s.Flags.Append(dst)
	case opReceived:
		return strconv.AppendUint(dst, s.BytesReceived, 10)
	case opSent:
		return strconv.AppendUint(dst, s.BytesSent, 10)
	case opAttempts:
		return strconv.AppendInt(dst, int64(s.Attempts), 10)
	case opFailure:
		return append(dst, s.UpstreamFailure...)
	case opRequestDuration:
		if !s.Start.IsZero() && !s.RequestDone.IsZero() {
			return strconv.AppendInt(dst, int64(s.RequestDone.Sub(s.Start)/time.Millisecond), 10)
		}
	}
	return dst
}

func appendAddrPort(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(dst)
}

func appendAddr(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return a.Addr().Unmap().AppendTo(dst)
}

func appendPort(dst []byte, a netip.AddrPort) []byte {
	if !a.IsValid() {
		return dst
	}
	return strconv.AppendUint(dst, uint64(a.Port()), 10)
}
