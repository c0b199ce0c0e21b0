package proxy

import (
	"crypto/x509"
	"time"

	"github.com/weirproxy/weir/config/secret"
)

// FirstExpiry is when the first certificate in use ends to be valid, of those we
// show and those of the authorities we trust; the zero time when there is none.
func (p *Proxy) FirstExpiry() time.Time {
	k := p.secrets
	k.mu.Lock()
	defer k.mu.Unlock()
	k.sweep()
	var first time.Time
	for _, l := range k.named {
		first = earlier(first, l.Load())
	}
	for l := range k.inline {
		select {
		case <-l.done:
		default:
			first = earlier(first, l.Load())
		}
	}
	return first
}

// earlier is the first end of the certificates of s, or t when that is before.
func earlier(t time.Time, s *secret.Secret) time.Time {
	see := func(c *x509.Certificate) {
		if c != nil && (t.IsZero() || c.NotAfter.Before(t)) {
			t = c.NotAfter
		}
	}
	if s == nil {
		return t
	}
	if c := s.Certificate; c != nil {
		see(c.Leaf)
	}
	if v := s.Validation; v != nil {
		for _, c := range v.Roots {
			see(c)
		}
	}
	return t
}
