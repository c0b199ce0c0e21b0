package xds

import (
	"fmt"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// warmOwned decides which extensions, or scopes, may be used: when what they refer to is there. One may refer to others, so that they
// are looked at until nothing more goes in.
func (s *Session) warmOwned(k kind, absent *nameSet) {
	all := s.ofKind(k)
	for _, t := range all {
		for _, o := range t.slots {
			o.next = o.live
		}
	}
	for again := true; again; {
		again = false
		for _, t := range all {
			for _, o := range t.slots {
				if o.want == nil || o.next == o.want {
					continue
				}
				if o.waits = ""; !o.expired {
					o.waits = s.missing(o)
				}
				if o.waits == "" && !o.expired {
					o.waits = s.warmingCluster(o.want, absent)
				}
				if o.waits == "" {
					o.next, again = o.want, true
				}
			}
		}
	}
}

// keepExtensions leaves what a serving listener refers to, itself or through another extension. What was removed is gone at once:
// there is a default, or requests are told.
func (s *Session) keepExtensions() {
	all := s.ofKind(ecds)
	for _, t := range all {
		for _, o := range t.slots {
			if o.want == nil {
				o.next = nil
			}
		}
	}
	for _, t := range all {
		used := s.referred(t)
		for _, o := range t.slots {
			if _, ok := used[o.name]; !ok {
				o.next = nil
			}
		}
	}
}

// misfit says why a configuration cannot be used where it is referred to: its type is not among type_urls.
func (s *Session) misfit(t *typeState, it *item) error {
	p, ok := it.res.Value.(*extension.Parsed)
	if !ok {
		return nil
	}
	for _, owner := range s.owners(t) {
		for _, o := range owner.slots {
			for _, r := range [...]*config.Resource{o.want, o.live} {
				if r == nil {
					continue
				}
				for _, ref := range r.Refs {
					if ref.TypeURL == t.url && ref.Name == it.name && ref.Source.Stream() == t.from && !ref.Takes(p.Factory.TypeURL) {
						return fmt.Errorf("typed_config: %s is not among type_urls, or not for this place, in %s", p.Factory.TypeURL, quote(owner.noun, o.name))
					}
				}
			}
		}
	}
	return nil
}
