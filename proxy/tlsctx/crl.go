package tlsctx

import (
	"crypto/x509"
	"fmt"
	"time"
)

// A crl is a revocation list, ready to be asked.
type crl struct {
	list    *x509.RevocationList
	serials map[string]struct{} // revoked
}

func indexCRLs(all []*x509.RevocationList) map[string][]*crl {
	out := map[string][]*crl{}
	for _, l := range all {
		c := &crl{l, make(map[string]struct{}, len(l.RevokedCertificateEntries))}
		for _, e := range l.RevokedCertificateEntries {
			if e.ReasonCode != removeFromCRL {
				c.serials[string(e.SerialNumber.Bytes())] = struct{}{}
			}
		}
		out[string(l.RawIssuer)] = append(out[string(l.RawIssuer)], c)
	}
	return out
}

// removeFromCRL is the reason of an entry that takes back an earlier one (RFC 5280 §5.3.1).
const removeFromCRL = 8

// revoked tells why a certificate must not be trusted: it is on a list of its issuer, or there is no list that could be asked. Once
// there are lists every authority of a chain must have one (Envoy: crl).
func (f *Verifier) revoked(c, issuer *x509.Certificate, now time.Time) error {
	if issuer == nil {
		return fmt.Errorf("no issuer of %q to ask for revocation", c.Subject)
	}
	why := fmt.Errorf("no revocation list of %q", c.Issuer)
	asked := false
	for _, l := range f.crls[string(c.RawIssuer)] {
		if err := l.list.CheckSignatureFrom(issuer); err != nil {
			why = fmt.Errorf("revocation list of %q: %w", c.Issuer, err)
			continue
		}
		if _, ok := l.serials[string(c.SerialNumber.Bytes())]; ok {
			return fmt.Errorf("%q is revoked", c.Subject)
		}
		switch {
		case l.list.ThisUpdate.After(now):
			why = fmt.Errorf("revocation list of %q is not yet good", c.Issuer)
		case !l.list.NextUpdate.IsZero() && l.list.NextUpdate.Before(now):
			why = fmt.Errorf("revocation list of %q is too old", c.Issuer)
		default:
			asked = true
		}
	}
	if asked {
		return nil
	}
	return why
}
