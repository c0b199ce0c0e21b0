package sniff

// Limits of TLS, in bytes from the start of the connection to the end of the
// ClientHello, record headers included: what a caller has to keep buffered.
const (
	// DefaultHelloLimit is Envoy's default and maximum of
	// tls_inspector.max_client_hello_size.
	DefaultHelloLimit = 16 << 10
	// MaxHelloLimit is the most SetHelloLimit accepts. The protocol allows 16 MiB;
	// no client is known to send more than a few KiB.
	MaxHelloLimit = 64 << 10

	minHelloLimit = 64
)

// Reasons that TLS.Err reports.
const (
	// ReasonHelloTooLarge: the hello does not end within the limit. Envoy counts
	// it as client_hello_too_large.
	ReasonHelloTooLarge = "client hello larger than the limit"
	// ReasonShrunk: Feed was given fewer bytes than before.
	ReasonShrunk = "buffer shorter than before"

	reasonRecordType    = "record of another type inside the client hello"
	reasonRecordVersion = "record version is not 3.x"
	reasonRecordLength  = "record longer than 2^14 bytes"
	reasonRecordEmpty   = "more than 32 empty records"
	reasonAfterHello    = "bytes after the client hello in its record"
)

const (
	recordHeaderLen    = 5
	handshakeHeaderLen = 4
	recordHandshake    = 22
	typeClientHello    = 1
	maxRecordPayload   = 1 << 14 // RFC 8446 §5.1
	maxEmptyRecords    = 32      // in a row; the RFC allows none, BoringSSL this many
)

// TLS recognises a TLS ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) that
// may be split over any number of segments and of TLS records. The zero value
// is ready; Reset makes it ready for another connection. It is recognised as
// TLS once its first six bytes are those of a ClientHello: a handshake record
// of version 3.x of legal length, carrying a message of type client_hello.
//
// Whatever some TLS server may accept has to be seen as TLS here, or a client
// could leave the filter chain that watches TLS by a hello of doubtful form. So
// a hello is Bad only where it cannot be read, or where the known servers
// refuse it; and what cannot be read of an extension is as if it was not sent.
//
// A hello inside one record is never copied. One that spans records is put
// together in a scratch buffer that the TLS keeps over Reset.
type TLS struct {
	// Set by SetHelloLimit and SetScratch, kept over Reset.
	limit   int
	scratch []byte

	// Progress of Feed.
	status  Status
	err     string
	pos     int // offset in the buffer of the next byte to look at
	left    int // payload bytes of the current record from pos on
	records int
	empty   int // empty records in a row
	nhead   int
	head    [handshakeHeaderLen]byte
	size    int // of the hello with its header; 0 until the header is complete
	spans   bool

	// The result, valid when status is Match.
	h hello
	// Where ALPN(i) stopped, so that asking in order is linear.
	alpnAt, alpnOff int
}

// SetHelloLimit sets the largest number of bytes, counted from the first byte
// of the connection, within which the ClientHello has to end. Values are
// brought into the range 64 … MaxHelloLimit; 0 means DefaultHelloLimit.
func (t *TLS) SetHelloLimit(n int) {
	if n != 0 {
		n = min(max(n, minHelloLimit), MaxHelloLimit)
	}
	t.limit = n
}

// SetScratch gives the TLS the capacity of buf for a hello that spans records.
// Without it, or when buf is too small, the TLS allocates its own.
func (t *TLS) SetScratch(buf []byte) { t.scratch = buf[:0] }

// Reset forgets the connection, keeping the limit and the scratch buffer.
// Every slice the TLS handed out becomes invalid.
func (t *TLS) Reset() { *t = TLS{limit: t.limit, scratch: t.scratch[:0]} }

// Feed looks at the bytes of b it has not seen before; b is everything the
// client has sent so far, so it never shrinks. Once Feed returned anything but
// More, it returns the same without looking at b again.
//
// The slices reported after Match point into the b of that call (or into the
// scratch buffer) and are valid as long as the caller keeps it, until Reset.
func (t *TLS) Feed(b []byte) Status {
	if t.status == More && len(b) < t.pos {
		return t.fail(ReasonShrunk)
	}
	for t.status == More {
		var again bool
		switch {
		case t.left == 0:
			again = t.recordHeader(b)
		case t.nhead < handshakeHeaderLen:
			again = t.handshakeHeader(b)
		default:
			again = t.body(b)
		}
		if !again {
			break
		}
	}
	return t.status
}

// Err returns why Feed returned Bad, a constant sentence; otherwise "".
func (t *TLS) Err() string { return t.err }

// HelloSize returns the size in bytes of the ClientHello with its four-byte
// handshake header, as soon as that header was seen.
func (t *TLS) HelloSize() int { return t.size }

// Records returns the number of TLS records the hello came in.
func (t *TLS) Records() int { return t.records }

// Consumed returns the number of bytes of the buffer that were looked at;
// after Match, the offset just behind the record that ended the hello.
func (t *TLS) Consumed() int { return t.pos }

// Need returns, after More, how many bytes the buffer has to hold at least
// before Feed can get further: always more than it held, exact for a hello in
// one record, a lower bound for one that goes on in records not seen yet.
func (t *TLS) Need() int {
	switch rest := t.size - handshakeHeaderLen; {
	case t.left == 0 && t.size == 0:
		return t.pos + recordHeaderLen + 1
	case t.size == 0:
		return t.pos + max(t.left, handshakeHeaderLen-t.nhead)
	case !t.spans:
		return t.pos + rest
	default:
		rest = t.size - len(t.scratch)
		if t.left < rest {
			rest += recordHeaderLen
		}
		return t.pos + rest
	}
}

// recordHeader reads the header of a record. It reports whether Feed can go on.
func (t *TLS) recordHeader(b []byte) bool {
	h := b[t.pos:]
	if len(h) >= 1 && h[0] != recordHandshake {
		t.fail(reasonRecordType)
		return false
	}
	if len(h) >= 2 && h[1] != 3 {
		t.fail(reasonRecordVersion)
		return false
	}
	if len(h) < recordHeaderLen {
		return false
	}
	n := be16(h[3:])
	t.empty++
	if n > 0 {
		t.empty = 0
	}
	switch {
	case n > maxRecordPayload:
		t.fail(reasonRecordLength)
		return false
	case t.empty > maxEmptyRecords:
		t.fail(reasonRecordEmpty)
		return false
	}
	t.pos += recordHeaderLen
	t.left = n
	t.records++
	return t.size == 0 || t.fits(t.size-len(t.scratch))
}

// handshakeHeader reads the type and length of the handshake message, which
// may themselves be spread over records.
func (t *TLS) handshakeHeader(b []byte) bool {
	if t.nhead == 0 && len(b) > t.pos && b[t.pos] != typeClientHello {
		t.status = NoMatch
		return false
	}
	n := copy(t.head[t.nhead:], b[t.pos:min(len(b), t.pos+t.left)])
	t.pos += n
	t.left -= n
	t.nhead += n
	if t.nhead < handshakeHeaderLen {
		return n > 0
	}
	body := int(t.head[1])<<16 | be16(t.head[2:])
	t.size = handshakeHeaderLen + body
	t.spans = t.records > 1 || t.left < body
	if t.spans {
		t.scratch = append(t.scratch[:0], t.head[:]...)
	}
	if body == 0 {
		t.fail(reasonTruncated)
		return false
	}
	return t.fits(body)
}

// fits reports whether the n bytes of the hello still to come end within the
// limit, and checks that the current record carries nothing beyond them.
// RFC 8446 §5.1 lets no message of the client follow its hello there.
func (t *TLS) fits(n int) bool {
	limit := t.limit
	if limit == 0 {
		limit = DefaultHelloLimit
	}
	switch {
	case n > limit-t.pos:
		t.fail(ReasonHelloTooLarge)
	case t.left > n:
		t.fail(reasonAfterHello)
	default:
		return true
	}
	return false
}

// body reads payload of the current record behind the handshake header.
func (t *TLS) body(b []byte) bool {
	if !t.spans {
		end := t.pos + t.left
		if len(b) < end {
			return false
		}
		t.complete(b[t.pos-handshakeHeaderLen : end : end])
		t.pos, t.left = end, 0
		return false
	}
	n := min(t.left, len(b)-t.pos)
	t.scratch = append(t.scratch, b[t.pos:t.pos+n]...)
	t.pos += n
	t.left -= n
	if len(t.scratch) == t.size {
		t.complete(t.scratch)
		return false
	}
	return n > 0
}

// complete parses the whole handshake message.
func (t *TLS) complete(msg []byte) {
	if reason := t.h.parse(msg); reason != "" {
		t.h = hello{}
		t.fail(reason)
		return
	}
	t.status = Match
}

// fail ends with Bad, or with NoMatch when TLS was not recognised yet.
func (t *TLS) fail(reason string) Status {
	t.status = NoMatch
	if t.nhead > 0 {
		t.status, t.err = Bad, reason
	}
	return t.status
}
