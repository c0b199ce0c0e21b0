package fields

import (
	"bytes"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/codec/h2/hpack"
	"github.com/weirproxy/weir/proxy/header"
)

// A Decoder decompresses and checks the field blocks of one direction of a
// connection. It decodes every block to its end, whatever is wrong with it, so that
// its table stays that of the peer; what follows a mistake is not looked at.
type Decoder struct {
	hp   *hpack.Decoder
	take func(name, value []byte) bool // emit, made once

	joined []byte // scratch for cookies

	// of the section under way
	kind    Kind
	h       *header.Headers
	lim     *Limits
	m       *Message
	err     error
	size    uint64
	seen    uint8 // pseudo-headers, a bit each
	fields  bool  // an ordinary field came
	hosts   int
	cookies int
}

// Kind is what a field section belongs to.
type Kind uint8

// The kinds.
const (
	Request Kind = iota
	Response
	Trailers
)

// NewDecoder makes a Decoder with a table of at most that many bytes
// (SETTINGS_HEADER_TABLE_SIZE, RFC 9113 §6.5.2).
func NewDecoder(tableSize uint32) *Decoder {
	d := &Decoder{hp: hpack.NewDecoder(tableSize)}
	d.take = d.emit
	return d
}

// Request decodes the whole field block of a request into h, which is empty. The
// error is a *codec.ProtocolError when the request is malformed, or ErrCompression.
func (d *Decoder) Request(block []byte, h *header.Headers, lim *Limits, m *Message) error {
	if err := d.decode(Request, block, h, lim, m); err != nil {
		return err
	}
	return d.request()
}

// Response does the same for a response.
func (d *Decoder) Response(block []byte, h *header.Headers, lim *Limits, m *Message) error {
	if err := d.decode(Response, block, h, lim, m); err != nil {
		return err
	}
	if d.seen&seenStatus == 0 {
		return ErrPseudoMissing
	}
	if m.Code < 200 || m.Code == 204 {
		// Neither has content to give the length of (RFC 9110 §8.6).
		h.Del(header.ContentLength)
		m.ContentLength = -1
	}
	return nil
}

// Trailers does the same for trailers, of either message.
func (d *Decoder) Trailers(block []byte, h *header.Headers, lim *Limits, m *Message) error {
	return d.decode(Trailers, block, h, lim, m)
}

// Discard decodes a block that nobody wants, for the table's sake.
func (d *Decoder) Discard(block []byte) error {
	return d.write(block, nil)
}

func (d *Decoder) decode(k Kind, block []byte, h *header.Headers, lim *Limits, m *Message) error {
	*m = Message{ContentLength: -1}
	d.kind, d.h, d.lim, d.m = k, h, lim, m
	d.err, d.size, d.seen, d.fields, d.hosts, d.cookies = nil, 0, 0, false, 0, 0
	if err := d.write(block, d.take); err != nil {
		return err
	}
	if d.err == nil && d.cookies > 1 {
		d.joinCookies()
	}
	return d.err
}

func (d *Decoder) write(block []byte, take func(name, value []byte) bool) error {
	if d.hp.Decode(block, take) != nil {
		return ErrCompression
	}
	return nil
}

// emit takes one field, and tells whether another is wanted: not after a mistake.
func (d *Decoder) emit(name, value []byte) bool {
	n := len(name) + len(value)
	d.size += uint64(n) + 32
	d.m.Size += n
	d.m.Fields++
	switch {
	case d.size > uint64(d.lim.MaxListSize):
		d.err = ErrSize
	case d.lim.MaxCount > 0 && d.m.Fields > d.lim.MaxCount:
		d.err = ErrCount
	case len(name) > 0 && name[0] == ':':
		d.err = d.pseudo(name, value)
	default:
		d.fields = true
		d.err = d.field(name, value)
	}
	return d.err == nil
}

// field takes an ordinary field.
func (d *Decoder) field(name, v []byte) error {
	if !validName(name) {
		return ErrName
	}
	if !grammar.ValidValue(v) || padded(v) {
		return ErrValue
	}
	if d.lim.Underscores != AllowUnderscores && bytes.IndexByte(name, '_') >= 0 {
		if d.lim.Underscores == RejectUnderscores {
			return ErrUnderscore
		}
		d.m.Dropped++
		return nil
	}
	id := header.Lookup(name)
	keep, err := d.known(id, v)
	if keep && err == nil {
		d.h.AddAs(id, name, v)
	}
	return err
}

// known judges a field of a well-known name; keep says that it goes into the list.
func (d *Decoder) known(id header.ID, v []byte) (keep bool, err error) {
	switch id {
	case header.Other:
	case header.IDConnection, header.IDKeepAlive, header.IDProxyConnection, header.IDTransferEncoding, header.IDUpgrade:
		return false, ErrHop
	case header.IDTrailer:
		return true, d.noTrailer()
	case header.IDTE:
		if !grammar.EqualFold(v, "trailers") {
			return false, ErrTE
		}
		return true, d.noTrailer()
	case header.IDContentLength:
		return d.length(v)
	case header.IDAuthority:
		return d.host(v)
	case header.IDCookie:
		d.cookies++
	case header.IDExpect:
		if d.kind == Request {
			if !grammar.EqualFold(v, "100-continue") {
				return false, ErrExpect
			}
			d.m.Expect = true
		}
		return true, d.noTrailer()
	}
	return true, nil
}

// noTrailer refuses what must not be among trailers.
func (d *Decoder) noTrailer() error {
	if d.kind == Trailers {
		return ErrTrailer
	}
	return nil
}

// length takes a content-length; several that say the same are one.
func (d *Decoder) length(v []byte) (keep bool, err error) {
	n, ok := grammar.ParseLength(v)
	switch {
	case d.kind == Trailers:
		return false, ErrTrailer
	case !ok, d.m.ContentLength >= 0 && n != d.m.ContentLength:
		return false, ErrLength
	}
	keep = d.m.ContentLength < 0
	d.m.ContentLength = n
	return keep, nil
}

// host takes a Host field: it says the same as :authority, or stands for it.
func (d *Decoder) host(v []byte) (keep bool, err error) {
	switch {
	case d.kind == Trailers:
		return false, ErrTrailer
	case d.kind == Response:
		return true, nil
	}
	d.hosts++
	if d.hosts > 1 {
		return false, ErrHostDiffers
	}
	if a, ok := d.h.Get(header.Authority); ok {
		if string(a) != string(v) {
			return false, ErrHostDiffers
		}
		return false, nil
	}
	if len(v) == 0 || !grammar.ValidHost(v) {
		return false, ErrHost
	}
	d.h.Add(header.Authority, v)
	return false, nil
}

// joinCookies makes one field of the crumbs of a cookie (RFC 9113 §8.2.3).
func (d *Decoder) joinCookies() {
	all := d.joined[:0]
	for i := d.h.Index(header.Cookie, 0); i >= 0; i = d.h.Index(header.Cookie, i+1) {
		_, v := d.h.At(i)
		if len(all) > 0 {
			all = append(all, "; "...)
		}
		all = append(all, v...)
	}
	d.h.Set(header.Cookie, all)
	if cap(all) <= maxJoined {
		d.joined = all
	}
}

// maxJoined is the longest cookie, in bytes, whose scratch stays with a connection.
const maxJoined = 4 << 10

func padded(v []byte) bool {
	return len(v) > 0 && (v[0] == ' ' || v[0] == '\t' || v[len(v)-1] == ' ' || v[len(v)-1] == '\t')
}

// maxName is the longest field name, in bytes, that a header.Headers can hold.
const maxName = 1<<16 - 1

// validName tells whether a name is a token without upper case.
func validName(s []byte) bool {
	for _, c := range s {
		if 'A' <= c && c <= 'Z' || !grammar.TokenByte(c) {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxName
}
