package fields

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
)

// The pseudo-headers that came, as bits.
const (
	seenMethod uint8 = 1 << iota
	seenScheme
	seenAuthority
	seenPath
	seenProtocol
	seenStatus
)

// pseudo takes a pseudo-header.
func (d *Decoder) pseudo(name, v []byte) error {
	switch {
	case d.kind == Trailers:
		return ErrPseudoTrailer
	case d.fields:
		return ErrPseudoLate
	}
	var bit uint8
	var n header.Name
	switch string(name) {
	case ":method":
		bit, n = seenMethod, header.Method
	case ":scheme":
		bit, n = seenScheme, header.Scheme
	case ":authority":
		bit, n = seenAuthority, header.Authority
	case ":path":
		bit, n = seenPath, header.Path
	case ":protocol":
		bit, n = seenProtocol, header.Protocol
	case ":status":
		bit, n = seenStatus, header.Status
	default:
		return ErrPseudo
	}
	if (bit == seenStatus) != (d.kind == Response) {
		return ErrPseudo
	}
	if d.seen&bit != 0 {
		return ErrPseudoTwice
	}
	d.seen |= bit
	if err := d.pseudoValue(bit, v); err != nil {
		return err
	}
	d.h.Add(n, v)
	return nil
}

// pseudoValue judges the value of a pseudo-header on its own.
func (d *Decoder) pseudoValue(bit uint8, v []byte) error {
	switch bit {
	case seenMethod:
		if !grammar.IsToken(v) {
			return ErrMethod
		}
		d.m.Head, d.m.Connect = string(v) == "HEAD", string(v) == "CONNECT"
	case seenScheme:
		if !validScheme(v) {
			return ErrScheme
		}
	case seenAuthority:
		if len(v) == 0 || !grammar.ValidHost(v) {
			return ErrHost
		}
	case seenPath:
		if !grammar.ValidTarget(v) || v[0] != '/' && string(v) != "*" {
			return ErrPath
		}
	case seenProtocol:
		if !grammar.IsToken(v) {
			return ErrProtocol
		}
		d.m.Protocol = true
	case seenStatus:
		code, ok := grammar.ParseLength(v)
		if !ok || len(v) != 3 || code < 100 || code == 101 {
			return ErrStatus
		}
		d.m.Code = int(code)
	}
	return nil
}

// request judges a request's pseudo-headers together (RFC 9113 §8.3.1, §8.5; RFC
// 8441 §4).
func (d *Decoder) request() error {
	h, m := d.h, d.m
	has := func(bits uint8) bool { return d.seen&bits == bits }
	if !has(seenMethod) {
		return ErrPseudoMissing
	}
	if m.Protocol && !m.Connect {
		return ErrProtocol
	}
	if m.Connect && !m.Protocol {
		a := h.Value(header.Authority)
		colon := bytes.LastIndexByte(a, ':')
		if d.seen&(seenScheme|seenPath) != 0 || !has(seenAuthority) || colon <= 0 || colon == len(a)-1 {
			return ErrConnect
		}
		h.Add(header.Path, nil) // as HTTP/1's has: an empty one
		return nil
	}
	if !has(seenScheme | seenPath) {
		return ErrPseudoMissing
	}
	if !h.Has(header.Authority) {
		return ErrHostMissing
	}
	if string(h.Value(header.Path)) == "*" && string(h.Value(header.Method)) != "OPTIONS" {
		return ErrPath
	}
	return nil
}

// validScheme is ALPHA *( ALPHA / DIGIT / "+" / "-" / "." ) (RFC 3986 §3.1).
func validScheme(v []byte) bool {
	for i, c := range v {
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'):
		default:
			return false
		}
	}
	return len(v) > 0
}
