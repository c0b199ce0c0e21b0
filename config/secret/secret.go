// Package secret is the compiled Envoy Secret: certificates with their keys, whom to trust, session ticket keys and generic
// secrets, whether they came by discovery (SDS) or stand in a TLS context. What must stay secret is held so that nothing prints it.
package secret

import (
	"maps"
	"slices"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// TypeURL is the type of the xDS resource.
const TypeURL = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

// A Secret is the compiled model of an Envoy Secret. It is immutable. Exactly one of Certificate, Validation, TicketKeys and
// Generic is set.
type Secret struct {
	Name        string
	Certificate *Certificate
	Validation  *Validation
	TicketKeys  []Bytes // 80 bytes each; the first encrypts
	Generic     map[string]Bytes
	Sources     Sources
}

// Kind names what the secret is, by the field of Envoy's message.
func (s *Secret) Kind() string {
	switch {
	case s.Certificate != nil:
		return "tls_certificate"
	case s.Validation != nil:
		return "validation_context"
	case s.TicketKeys != nil:
		return "session_ticket_keys"
	}
	return "generic_secret"
}

// Decode compiles a Secret, and reads the files it names. The error, if any, holds every mistake, each with its field path
// (config/fielderr).
func Decode(p *tlsv3.Secret, _ *extension.Context) (*Secret, error) {
	var l fielderr.List
	s := &Secret{Name: p.GetName()}
	switch t := p.GetType().(type) {
	case *tlsv3.Secret_TlsCertificate:
		s.Certificate = DecodeCertificate(&l, "tls_certificate", t.TlsCertificate)
		if s.Certificate != nil {
			s.Sources = s.Certificate.Sources
		}
	case *tlsv3.Secret_ValidationContext:
		s.Validation = DecodeValidation(&l, "validation_context", t.ValidationContext)
		s.Sources = s.Validation.Sources
	case *tlsv3.Secret_SessionTicketKeys:
		s.TicketKeys, s.Sources = DecodeTicketKeys(&l, "session_ticket_keys", t.SessionTicketKeys)
	case *tlsv3.Secret_GenericSecret:
		s.Generic, s.Sources = decodeGeneric(&l, "generic_secret", t.GenericSecret)
	default:
		l.Addf("", "unset: tls_certificate, validation_context, session_ticket_keys or generic_secret is needed")
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// ticketKeyLen is the length of a session ticket key in bytes (TlsSessionTicketKeys.keys).
const ticketKeyLen = 80

// DecodeTicketKeys compiles TlsSessionTicketKeys, and records what is wrong.
func DecodeTicketKeys(l *fielderr.List, path string, p *tlsv3.TlsSessionTicketKeys) ([]Bytes, Sources) {
	r := reader{l: l}
	keys := make([]Bytes, 0, len(p.GetKeys()))
	for i, d := range p.GetKeys() {
		at := fielderr.Index(path+".keys", i)
		b, ok := r.read(at, d)
		if ok && len(b) != ticketKeyLen {
			l.Addf(at, "%d bytes, want %d", len(b), ticketKeyLen)
		}
		keys = append(keys, NewBytes(b))
	}
	if len(keys) == 0 {
		l.Addf(path+".keys", "empty")
	}
	return keys, r.Sources
}

// decodeGeneric compiles a GenericSecret; the one in its field secret has the name "".
func decodeGeneric(l *fielderr.List, path string, p *tlsv3.GenericSecret) (map[string]Bytes, Sources) {
	r := reader{l: l}
	out := map[string]Bytes{}
	if p.GetSecret() != nil {
		b, _ := r.read(path+".secret", p.GetSecret())
		out[""] = NewBytes(b)
	}
	for _, k := range slices.Sorted(maps.Keys(p.GetSecrets())) {
		b, _ := r.read(fielderr.Key(path+".secrets", k), p.GetSecrets()[k])
		out[k] = NewBytes(b)
	}
	if len(out) == 0 {
		l.Addf(path, "unset: secret or secrets is needed")
	}
	return out, r.Sources
}
