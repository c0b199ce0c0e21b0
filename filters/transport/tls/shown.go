package tls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"path/filepath"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// A watch calls changed with a secret and after each of its changes, and gone once done is closed and nobody will look any more.
type watch = func(l *secret.Live, changed func(*secret.Secret), gone func(), done <-chan struct{})

// show keeps the statistics of the secrets that a context is made of: when their certificates end, under ssl.certificate.<name>., and
// how often SDS brought one.
func show(r *tlsctx.Ref, l *secret.Live, ssl *stats.Scope, bySDS *stats.Counter, w watch, done <-chan struct{}) {
	scopes := map[string]*stats.Scope{}
	changed := func(s *secret.Secret) {
		if s == nil {
			return
		}
		if r.Inline == nil && !r.Static {
			bySDS.Inc()
		}
		now := ends(r, s)
		for name, sc := range scopes {
			if now[name] == nil {
				sc.Close()
				delete(scopes, name)
			}
		}
		for name, c := range now {
			if scopes[name] == nil {
				scopes[name] = ssl.Scope("certificate", name)
			}
			scopes[name].Gauge("expiration_unix_time_seconds").Set(c.NotAfter.Unix())
		}
	}
	w(l, changed, func() {
		for _, sc := range scopes {
			sc.Close()
		}
	}, done)
}

// ends are the certificates of a secret whose ends are shown, by name: the one that is presented, and the authority that ends first.
// Those that stand in the configuration have no name; as in Envoy they are told apart by a hash.
func ends(r *tlsctx.Ref, s *secret.Secret) map[string]*x509.Certificate {
	out := map[string]*x509.Certificate{}
	if c := s.Certificate; c != nil && c.Leaf != nil {
		out[name(r, s, "unnamed_cert_", c.Leaf)] = c.Leaf
	}
	if v := s.Validation; v != nil {
		var first *x509.Certificate
		for _, c := range v.Roots {
			if first == nil || c.NotAfter.Before(first.NotAfter) {
				first = c
			}
		}
		if first != nil {
			out[name(r, s, "unnamed_ca_cert_", first)] = first
		}
	}
	return out
}

func name(r *tlsctx.Ref, s *secret.Secret, unnamed string, c *x509.Certificate) string {
	if r.Inline == nil {
		return r.Name
	}
	of := c.Raw
	if len(s.Sources.Files) > 0 {
		of = of[:0:0] // the same when what is in them changes, and in another folder
		for _, f := range s.Sources.Files {
			of = append(append(of, filepath.Base(f)...), '\n')
		}
	}
	sum := sha256.Sum256(of)
	return unnamed + hex.EncodeToString(sum[:4])
}
