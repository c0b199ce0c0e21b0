// Package sniff recognises a protocol from the first bytes of a connection:
// a TLS ClientHello, an HTTP/1 request line, the HTTP/2 preface, a PROXY
// protocol header.
//
// The recognisers are pure: no I/O, no clock, no allocation. A caller keeps
// one growing buffer of peeked bytes and calls again with the WHOLE buffer
// each time more bytes came; the recogniser remembers how far it got and looks
// at every byte once. What it reports are slices of that buffer, so the caller
// hands the same bytes on unchanged.
//
// Every decision is taken at the earliest byte that settles it and stays
// taken, so how the bytes were cut into segments never changes the result.
package sniff

// Status is what a recogniser knows after the bytes it has seen.
type Status uint8

const (
	// More means that the bytes so far are a proper prefix of something the
	// recogniser knows: call again with a longer buffer.
	More Status = iota
	// Match means that the protocol was recognised and its first message is
	// complete and well formed.
	Match
	// NoMatch means that the bytes are some other protocol.
	NoMatch
	// Bad means that the protocol was recognised, and that what follows breaks
	// its rules or is larger than the limit; the recogniser's Err says how.
	Bad
)

// String returns the status as one word for logs.
func (s Status) String() string {
	switch s {
	case More:
		return "more"
	case Match:
		return "match"
	case NoMatch:
		return "no_match"
	case Bad:
		return "bad"
	}
	return "unknown"
}

// be16 reads a big-endian 16-bit number; b holds at least two bytes.
func be16(b []byte) int { return int(b[0])<<8 | int(b[1]) }
