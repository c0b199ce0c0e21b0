package secret

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// A Staple is an OCSP response that a server sends along with its certificate.
type Staple struct {
	DER        []byte
	NextUpdate time.Time // it is stale from then on; zero is never
}

// Fresh tells whether it is still good.
func (s *Staple) Fresh(now time.Time) bool {
	return s != nil && (s.NextUpdate.IsZero() || now.Before(s.NextUpdate))
}

// The parts of an OCSP response that matter here (RFC 6960 §4.2.1). Its signature is for the client to check.
type (
	ocspResponse struct {
		Status asn1.Enumerated
		Body   struct {
			Type  asn1.ObjectIdentifier
			Basic []byte
		} `asn1:"explicit,tag:0,optional"`
	}
	ocspBasic struct {
		Data      ocspData
		Algorithm asn1.RawValue
		Signature asn1.BitString
		Certs     asn1.RawValue `asn1:"optional"`
	}
	ocspData struct {
		Version    int `asn1:"optional,default:0,explicit,tag:0"`
		Responder  asn1.RawValue
		Produced   time.Time `asn1:"generalized"`
		Singles    []ocspSingle
		Extensions asn1.RawValue `asn1:"optional,explicit,tag:1"`
	}
	ocspSingle struct {
		ID struct {
			Algorithm asn1.RawValue
			Name, Key []byte
			Serial    *big.Int
		}
		Status     asn1.RawValue
		ThisUpdate time.Time     `asn1:"generalized"`
		NextUpdate time.Time     `asn1:"generalized,explicit,tag:0,optional"`
		Extensions asn1.RawValue `asn1:"explicit,tag:1,optional"`
	}
)

// parseStaple reads an OCSP response about one certificate, which must be the leaf.
func parseStaple(der []byte, leaf *x509.Certificate) (*Staple, error) {
	var r ocspResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil {
		return nil, fmt.Errorf("not an OCSP response: %w", err)
	} else if len(rest) > 0 {
		return nil, errors.New("bytes after the OCSP response")
	}
	if r.Status != 0 {
		return nil, fmt.Errorf("the OCSP response is not a successful one (status %d)", r.Status)
	}
	var b ocspBasic
	if _, err := asn1.Unmarshal(r.Body.Basic, &b); err != nil {
		return nil, fmt.Errorf("not a basic OCSP response: %w", err)
	}
	if n := len(b.Data.Singles); n != 1 {
		return nil, fmt.Errorf("the OCSP response is about %d certificates, want one", n)
	}
	s := b.Data.Singles[0]
	if leaf != nil && s.ID.Serial.Cmp(leaf.SerialNumber) != 0 {
		return nil, errors.New("the OCSP response is about another certificate")
	}
	return &Staple{DER: der, NextUpdate: s.NextUpdate}, nil
}
