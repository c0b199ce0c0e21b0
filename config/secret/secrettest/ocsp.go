package secrettest

import (
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// OCSP makes a response about the certificate (RFC 6960 §4.2.1) that is good until next. Its signature is none: only clients check it.
func (p *Pair) OCSP(t testing.TB, next time.Time) []byte {
	t.Helper()
	type id struct {
		Algorithm pkix.AlgorithmIdentifier
		Name, Key []byte
		Serial    *big.Int
	}
	type single struct {
		ID         id
		Status     asn1.RawValue
		ThisUpdate time.Time `asn1:"generalized"`
		NextUpdate time.Time `asn1:"generalized,explicit,tag:0"`
	}
	type data struct {
		Responder asn1.RawValue
		Produced  time.Time `asn1:"generalized"`
		Singles   []single
	}
	type basic struct {
		Data      data
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	type body struct {
		Type  asn1.ObjectIdentifier
		Basic []byte
	}
	type response struct {
		Status asn1.Enumerated
		Body   body `asn1:"explicit,tag:0"`
	}
	marshal := func(v any) []byte {
		b, err := asn1.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	sha1 := pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}}
	b := basic{
		Data: data{
			Responder: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 2, IsCompound: true, Bytes: marshal([]byte("key"))},
			Produced:  Now.UTC(),
			Singles: []single{{
				ID:         id{Algorithm: sha1, Name: make([]byte, 20), Key: make([]byte, 20), Serial: p.Leaf.SerialNumber},
				Status:     asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0},
				ThisUpdate: Now.Add(-time.Hour).UTC(), NextUpdate: next.UTC(),
			}},
		},
		Algorithm: sha1, Signature: asn1.BitString{Bytes: []byte{1}, BitLength: 8},
	}
	return marshal(response{Body: body{Type: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, Basic: marshal(b)}})
}
