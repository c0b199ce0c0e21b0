package info

import "time"

// A Certificate is what is told of a certificate that one side of a TLS
// connection presented: to matchers, access logs and x-forwarded-client-cert. It
// is made once a handshake and never changed.
type Certificate struct {
	Subject, Issuer string // RFC 2253
	Serial          string // hexadecimal, lower case
	SHA256, SHA1    string // fingerprints of the DER form, hexadecimal, lower case

	// Subject alternative names, in the certificate's order.
	URIs, DNSNames, IPs, Emails []string

	NotBefore, NotAfter time.Time
	Chain               [][]byte // DER, the leaf first
}
