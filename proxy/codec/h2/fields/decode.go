package fields

import (
	"strings"

	"golang.org/x/net/http2/hpack"

	"github.com/weirproxy/weir/proxy/codec/grammar"
	"github.com/weirproxy/weir/proxy/header"
)

// maxString is the longest name or value that is decompressed at all, in bytes,
// before the limit on the section is looked at.
const maxString = 1 << 20

// A Decoder decompresses and checks the field blocks of one direction of a
// connection. It decodes every block to its end, whatever is wrong with it, so that
// its table stays that of the peer; what follows a mistake is not looked at.
type Decoder struct {
	hp *hpack.Decoder

	// of the section under way
	kind    Kind
	h       *header.Headers
	lim     *Limits
	m       *Message
	err     error
	size    uint32
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
	d := new(Decoder)
	d.hp = hpack.NewDecoder(tableSize, d.emit)
	d.hp.SetMaxStringLength(maxString)
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
	d.hp.SetEmitEnabled(false)
	return d.write(block)
}

func (d *Decoder) decode(k Kind, block []byte, h *header.Headers, lim *Limits, m *Message) error {
	*m = Message{ContentLength: -1}
	d.kind, d.h, d.lim, d.m = k, h, lim, m
	d.err, d.size, d.seen, d.fields, d.hosts, d.cookies = nil, 0, 0, false, 0, 0
	d.hp.SetEmitEnabled(true)
	if err := d.write(block); err != nil {
		return err
	}
	if d.err == nil && d.cookies > 1 {
		d.joinCookies()
	}
	return d.err
}

func (d *Decoder) write(block []byte) error {
	if _, err := d.hp.Write(block); err != nil {
		return ErrCompression
	}
	if err := d.hp.Close(); err != nil {
		return ErrCompression
	}
	return nil
}

// refuse notes what is wrong; the rest of the block is only decompressed.
func (d *Decoder) refuse(err error) {
	d.err = err
	d.hp.SetEmitEnabled(false)
}

// emit takes one field.
func (d *Decoder) emit(f hpack.HeaderField) {
	d.size += f.Size()
	d.m.Size += len(f.Name) + len(f.Value)
	d.m.Fields++
	switch {
	case d.size > d.lim.MaxListSize:
		d.refuse(ErrSize)
	case d.lim.MaxCount > 0 && d.m.Fields > d.lim.MaxCount:
		d.refuse(ErrCount)
	case len(f.Name) > 0 && f.Name[0] == ':':
		if err := d.pseudo(f.Name, f.Value); err != nil {
			d.refuse(err)
		}
	default:
		d.fields = true
		if err := d.field(f.Name, f.Value); err != nil {
			d.refuse(err)
		}
	}
}

// field takes an ordinary field.
func (d *Decoder) field(name, value string) error {
	if !validName(name) {
		return ErrName
	}
	v := bytesOf(value)
	if !grammar.ValidValue(v) || padded(value) {
		return ErrValue
	}
	if d.lim.Underscores != AllowUnderscores && strings.IndexByte(name, '_') >= 0 {
		if d.lim.Underscores == RejectUnderscores {
			return ErrUnderscore
		}
		return nil
	}
	n := bytesOf(name)
	keep, err := d.known(header.Lookup(n), v)
	if keep && err == nil {
		d.h.AddRaw(n, v)
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
		d.m.Expect = d.kind == Request && grammar.EqualFold(v, "100-continue")
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
	var all []byte
	for i := d.h.Index(header.Cookie, 0); i >= 0; i = d.h.Index(header.Cookie, i+1) {
		_, v := d.h.At(i)
		if len(all) > 0 {
			all = append(all, "; "...)
		}
		all = append(all, v...)
	}
	d.h.Set(header.Cookie, all)
}

func padded(v string) bool {
	return len(v) > 0 && (v[0] == ' ' || v[0] == '\t' || v[len(v)-1] == ' ' || v[len(v)-1] == '\t')
}

// maxName is the longest field name, in bytes, that a header.Headers can hold.
const maxName = 1<<16 - 1

// validName tells whether a name is a token without upper case.
func validName(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' || !grammar.TokenByte(c) {
			return false
		}
	}
	return 0 < len(s) && len(s) <= maxName
}
