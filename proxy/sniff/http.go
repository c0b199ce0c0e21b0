package sniff

// Protocol is an application protocol in the words of Envoy's http_inspector,
// which are those of filter_chain_match.application_protocols.
type Protocol string

// The protocols HTTP recognises.
const (
	HTTP10 Protocol = "http/1.0"
	HTTP11 Protocol = "http/1.1"
	H2C    Protocol = "h2c"
)

// Limits of HTTP, in bytes from the start of the connection to the end of the
// request line.
const (
	// DefaultLineLimit is the fixed MAX_INSPECT_SIZE of Envoy's http_inspector.
	DefaultLineLimit = 64 << 10

	minLineLimit = 64
)

// Reasons that HTTP.Err reports.
const (
	// ReasonLineTooLarge: no request line ends within the limit. Envoy counts it
	// as read_error and closes the connection.
	ReasonLineTooLarge = "request line larger than the limit"

	reasonHTTPVersion = "HTTP version is not digit, dot, digit"
	reasonLineEnd     = "request line does not end behind the version"
)

// preface is the HTTP/2 client connection preface, RFC 9113 §3.4.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// phase is what the next byte of an HTTP connection belongs to.
type phase uint8

const (
	inPreface phase = iota // still equal to the HTTP/2 preface
	inMethod               // method token
	inTarget               // spaces, then the first byte of the request target
	inScheme               // scheme of an absolute target
	inSlashes              // slashes behind it
	inRest                 // anything up to the next space
	inGap                  // spaces behind the target
	inName                 // HTTP and a slash
	inMajor                // major version digit
	inDot                  // dot
	inMinor                // minor version digit
	inLineEnd              // spaces, then LF
)

// HTTP recognises the HTTP/2 preface and the request line of HTTP/1 (RFC 9112
// §3), as Envoy's http_inspector does. The zero value is ready.
//
// It is wide on purpose: any method token, known or not; any run of what RFC
// 9112 §3 lets a lenient server take for space; LF alone; the line of HTTP/0.9
// without a version, and versions that do not exist, both reported as HTTP10.
// Some server might serve such a request, so it has to reach the filter chain
// for HTTP, whose codec refuses it, and not pass as an opaque stream.
//
// It is recognised as HTTP once "HTTP/" follows a method and a request target.
// Up to there a byte that does not fit is NoMatch, behind it Bad.
type HTTP struct {
	limit  int // set by SetLineLimit, kept over Reset
	status Status
	err    string
	proto  Protocol

	phase   phase
	pos     int  // offset in the buffer of the next byte to look at
	mark    int  // where the current phase began
	connect bool // the method is CONNECT: the target is an authority
	v11     bool // the version is 1.1 as far as it was seen
}

// SetLineLimit sets the largest number of bytes, counted from the first byte of
// the connection, within which the request line has to end. Less than 64 is
// taken as 64; 0 means DefaultLineLimit.
func (h *HTTP) SetLineLimit(n int) {
	if n != 0 {
		n = max(n, minLineLimit)
	}
	h.limit = n
}

// Reset forgets the connection and keeps the limit.
func (h *HTTP) Reset() { *h = HTTP{limit: h.limit} }

// Err returns why Feed returned Bad, a constant sentence; otherwise "".
func (h *HTTP) Err() string { return h.err }

// Consumed returns the number of bytes that were looked at; after Match, the
// offset just behind the request line or the preface.
func (h *HTTP) Consumed() int { return h.pos }

// Need returns, after More, how many bytes the buffer has to hold at least
// before Feed can get further.
func (h *HTTP) Need() int { return h.pos + 1 }

// Feed looks at the bytes of b it has not seen before; b is everything the
// client has sent so far. The protocol is set with Match only. Once Feed
// returned anything but More, it returns the same without looking at b again.
func (h *HTTP) Feed(b []byte) (Status, Protocol) {
	if h.status != More {
		return h.status, h.proto
	}
	if len(b) < h.pos {
		return h.bad(ReasonShrunk)
	}
	limit := h.limit
	if limit == 0 {
		limit = DefaultLineLimit
	}
	b = b[:min(len(b), limit)]
	if h.phase == inPreface {
		if h.comparePreface(b) {
			return h.status, h.proto
		}
	}
	for h.pos < len(b) {
		if h.phase == inRest { // the long part, without the switch
			for h.pos < len(b) && '!' <= b[h.pos] && b[h.pos] <= '~' {
				h.pos++
			}
			if h.pos == len(b) {
				break
			}
		}
		c := b[h.pos]
		h.pos++
		h.step(b, c)
		if h.status != More {
			return h.status, h.proto
		}
	}
	if h.pos == limit {
		return h.bad(ReasonLineTooLarge)
	}
	return More, ""
}

// comparePreface compares with the HTTP/2 preface and reports whether Feed is
// done; on the first difference it starts over with HTTP/1.
func (h *HTTP) comparePreface(b []byte) bool {
	switch HTTP2Preface(b) {
	case NoMatch:
		h.phase, h.pos = inMethod, 0
		return false
	case Match:
		h.pos = len(preface)
		h.status, h.proto = Match, H2C
	default:
		h.pos = len(b)
	}
	return true
}

// step takes the byte c just before pos.
func (h *HTTP) step(b []byte, c byte) {
	switch h.phase {
	case inMethod:
		n := h.pos - 1
		switch {
		case space(c) && n > 0:
			h.connect = string(b[:n]) == "CONNECT"
			h.phase = inTarget
		case !tokenByte(c):
			h.status = NoMatch
		}
	case inTarget:
		switch {
		case space(c):
		case h.connect && '!' <= c && c <= '~', c == '/', c == '*':
			h.phase = inRest
		case alpha(c):
			h.phase = inScheme
		default:
			h.status = NoMatch
		}
	case inScheme:
		switch {
		case c == ':':
			h.to(inSlashes)
		case !alpha(c) && (c < '0' || c > '9') && c != '+' && c != '-' && c != '.':
			h.status = NoMatch
		}
	case inSlashes:
		if c != '/' {
			h.status = NoMatch
		} else if h.pos-h.mark == 2 {
			h.phase = inRest
		}
	case inRest, inGap:
		switch {
		case c == '\n': // the line of HTTP/0.9, RFC 1945 §4.1
			h.match()
		case space(c):
			h.phase = inGap
		case c == 'H' && h.phase == inGap:
			h.to(inName)
			h.mark--
		default:
			h.status = NoMatch
		}
	case inName:
		const name = "HTTP/"
		i := h.pos - h.mark - 1
		if c != name[i] {
			h.status = NoMatch
		} else if i == len(name)-1 {
			h.phase = inMajor
		}
	default:
		h.version(c)
	}
}

// version takes the bytes behind "HTTP/": a digit, a dot, a digit, the end of
// the line.
func (h *HTTP) version(c byte) {
	digit := '0' <= c && c <= '9'
	switch {
	case h.phase == inMajor && digit:
		h.v11 = c == '1'
		h.phase = inDot
	case h.phase == inDot && c == '.':
		h.phase = inMinor
	case h.phase == inMinor && digit:
		h.v11 = h.v11 && c == '1'
		h.phase = inLineEnd
	case h.phase == inLineEnd && c == '\n':
		h.match()
	case h.phase == inLineEnd && space(c):
	case h.phase == inLineEnd:
		h.bad(reasonLineEnd)
	default:
		h.bad(reasonHTTPVersion)
	}
}

// to enters a phase that counts its bytes.
func (h *HTTP) to(p phase) { h.phase, h.mark = p, h.pos }

// match ends with the protocol of the request line: 1.1 or any other version.
func (h *HTTP) match() {
	h.status, h.proto = Match, HTTP10
	if h.v11 {
		h.proto = HTTP11
	}
}

// bad ends with Bad.
func (h *HTTP) bad(reason string) (Status, Protocol) {
	h.status, h.err, h.proto = Bad, reason, ""
	return Bad, ""
}

// HTTP1 recognises a request line of HTTP/1 in b alone, see HTTP.
func HTTP1(b []byte) (Status, Protocol) {
	h := HTTP{phase: inMethod}
	return h.Feed(b)
}

// HTTP2Preface recognises the 24 bytes every HTTP/2 client sends first.
func HTTP2Preface(b []byte) Status {
	n := min(len(b), len(preface))
	switch {
	case string(b[:n]) != preface[:n]:
		return NoMatch
	case n < len(preface):
		return More
	}
	return Match
}

func alpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// space reports whether c separates the parts of a request line for a lenient
// server, RFC 9112 §3: SP, HTAB, VT, FF, bare CR.
func space(c byte) bool { return c == ' ' || c == '\t' || 0x0b <= c && c <= 0x0d }

// tokenByte reports whether c may be part of a token, RFC 9110 §5.6.2.
func tokenByte(c byte) bool {
	if alpha(c) || '0' <= c && c <= '9' {
		return true
	}
	switch c {
	case '!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~':
		return true
	}
	return false
}
