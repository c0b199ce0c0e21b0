package secret

import (
	"crypto"
	"fmt"
)

// redacted stands wherever a secret would be printed, as in Envoy.
const redacted = "[redacted]"

// hidden makes what embeds it print as "[redacted]" in every way that fmt, encoding/json, encoding and zap know. What it hides must
// stand behind a pointer: fmt does not call methods of unexported fields, but prints a pointer in them as an address.
type hidden struct{}

// String implements fmt.Stringer.
func (hidden) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (hidden) GoString() string { return redacted }

// Format implements fmt.Formatter, for every verb.
func (hidden) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redacted)) }

// MarshalJSON implements json.Marshaler.
func (hidden) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (hidden) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Bytes are bytes that are never printed. The zero value is empty.
type Bytes struct {
	hidden
	p *[]byte
}

// NewBytes hides b, which it keeps.
func NewBytes(b []byte) Bytes { return Bytes{p: &b} }

// Reveal gives the bytes, for use and not for show; they must not be changed.
func (b Bytes) Reveal() []byte {
	if b.p == nil {
		return nil
	}
	return *b.p
}

// Len is how many there are.
func (b Bytes) Len() int { return len(b.Reveal()) }

// A Key is a private key that is never printed. The zero value is none.
type Key struct {
	hidden
	p *crypto.Signer
}

// Reveal gives the key, for use and not for show; nil when there is none.
func (k Key) Reveal() crypto.Signer {
	if k.p == nil {
		return nil
	}
	return *k.p
}
