package tlsctx

import (
	"fmt"

	"github.com/weirproxy/weir/config/secret"
)

// parts are the live secrets of a context.
type parts struct {
	common *Common
	lives  []*secret.Live // certificates, then the validation, then the ticket keys, if any
	names  []string
	nCert  int
}

func newParts(c *Common, tickets *Ref, r Resolver) *parts {
	p := &parts{common: c, nCert: len(c.Certificates)}
	add := func(ref *Ref) {
		l := (*secret.Live)(nil)
		if r != nil {
			l = r(ref)
		}
		if l == nil {
			l = secret.NewLive(ref.Inline)
		}
		p.lives, p.names = append(p.lives, l), append(p.names, ref.Key)
	}
	for i := range c.Certificates {
		add(&c.Certificates[i])
	}
	if c.Validation != nil {
		add(c.Validation)
	}
	if tickets != nil {
		add(tickets)
	}
	return p
}

// load gives the secrets as they are now.
func (p *parts) load() []*secret.Secret {
	out := make([]*secret.Secret, len(p.lives))
	for i, l := range p.lives {
		out[i] = l.Load()
	}
	return out
}

// same tells whether they are still those.
func (p *parts) same(from []*secret.Secret) bool {
	for i, l := range p.lives {
		if l.Load() != from[i] {
			return false
		}
	}
	return true
}

// A group is the secrets by what they are for.
type group struct {
	certificates []*secret.Certificate
	validation   *secret.Validation
	tickets      []secret.Bytes
}

// group sorts the secrets; each must be there and be what it is meant for.
func (p *parts) group(from []*secret.Secret) (g group, err error) {
	g.validation = p.common.Default
	for i, s := range from {
		switch {
		case s == nil:
			return g, fmt.Errorf("%w: %s", errNotReady, p.names[i])
		case i < p.nCert:
			if s.Certificate == nil {
				return g, p.wrong(i, s, "tls_certificate")
			}
			g.certificates = append(g.certificates, s.Certificate)
		case i == p.nCert && p.common.Validation != nil:
			if s.Validation == nil {
				return g, p.wrong(i, s, "validation_context")
			}
			g.validation = s.Validation
			if p.common.Default != nil {
				if g.validation, err = p.common.Default.Merge(s.Validation); err != nil {
					return g, err
				}
			}
		default:
			if s.TicketKeys == nil {
				return g, p.wrong(i, s, "session_ticket_keys")
			}
			g.tickets = s.TicketKeys
		}
	}
	return g, nil
}

func (p *parts) wrong(i int, s *secret.Secret, want string) error {
	return fmt.Errorf("secret %q is a %s, want a %s", p.names[i], s.Kind(), want)
}
