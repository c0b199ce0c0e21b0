package route

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
)

// ScopeURL is the type of the resources of SRDS, tableURL that of what they refer to.
const (
	ScopeURL = "type.googleapis.com/envoy.config.route.v3.ScopedRouteConfiguration"
	tableURL = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
)

// A Scope is a compiled ScopedRouteConfiguration: the route table of the requests that have its key. It is immutable.
type Scope struct {
	Name      string
	Fragments []string // of the key
	Key       string   // the fragments, as Scoping makes them of a request
	Table     *Table   // inline route_configuration, else
	RouteName string   // … the name of the one that RDS brings
	OnDemand  bool     // it is asked for when a request needs it
}

// DecodeScope compiles a ScopedRouteConfiguration. What it refers to comes from rds; of discovered scopes that is what says the one who
// refers to them.
func DecodeScope(m *routev3.ScopedRouteConfiguration, rds extension.Source, ctx *extension.Context) (*Scope, error) {
	var l fielderr.List
	s := &Scope{Name: m.GetName(), OnDemand: m.GetOnDemand(), RouteName: m.GetRouteConfigurationName()}
	var key []byte
	for _, f := range m.GetKey().GetFragments() {
		s.Fragments = append(s.Fragments, f.GetStringKey())
		key = appendFragment(key, []byte(f.GetStringKey()))
	}
	if s.Key = string(key); len(s.Fragments) == 0 {
		l.Addf("key.fragments", "empty")
	}
	switch rc := m.GetRouteConfiguration(); {
	case rc != nil && s.RouteName != "":
		l.Addf("route_configuration", "set beside route_configuration_name")
	case rc != nil:
		t, err := Decode(rc, ctx)
		l.Add("route_configuration", err)
		if t != nil && t.Discovers {
			l.Addf("route_configuration.vhds", "not supported in a table that does not come by RDS")
		}
		s.Table = t
	case s.RouteName == "":
		l.Addf("route_configuration_name", "unset, and no route_configuration")
	case !s.OnDemand:
		ctx.RequireFrom(tableURL, s.RouteName, rds)
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// TableRef is the reference to the table of a scope when RDS brings it from a source.
func (s *Scope) TableRef(rds extension.Source) extension.Ref {
	return extension.Ref{TypeURL: tableURL, Name: s.RouteName, Source: rds}
}

// appendFragment adds one part of a key, with its length before it, so that two keys are equal only if all parts are.
func appendFragment(dst, f []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(f))), f...)
}

// A ScopeKey says how the key of a request is made (Envoy: ScopeKeyBuilder).
type ScopeKey []scopeFragment

// scopeFragment takes one part of the key from a header (Envoy: HeaderValueExtractor).
type scopeFragment struct {
	name      header.Name
	separator []byte // of elements; empty: the value is the only one
	index     int    // the element that counts, when key is not set
	keyed     bool
	key, mid  []byte // the element that begins with key and mid counts, without these
}

// Append makes the key of a request. Without one of its parts there is none.
func (k ScopeKey) Append(dst []byte, h *header.Headers) ([]byte, bool) {
	for i := range k {
		f, ok := k[i].of(h)
		if !ok {
			return dst, false
		}
		dst = appendFragment(dst, f)
	}
	return dst, true
}

// of finds the part in the first value of the header.
func (f *scopeFragment) of(h *header.Headers) ([]byte, bool) {
	v, ok := h.Get(f.name)
	if !ok {
		return nil, false
	}
	for i := 0; ; i++ {
		e, rest, more := v, []byte(nil), false
		if len(f.separator) > 0 {
			e, rest, more = bytes.Cut(v, f.separator)
		}
		if f.keyed {
			if k, val, _ := bytes.Cut(e, f.mid); bytes.Equal(k, f.key) {
				return val, true
			}
		} else if i == f.index {
			return e, true
		}
		if !more {
			return nil, false
		}
		v = rest
	}
}

// DecodeScopeKey compiles a ScopeKeyBuilder.
func DecodeScopeKey(m *hcmv3.ScopedRoutes_ScopeKeyBuilder) (ScopeKey, error) {
	var l fielderr.List
	var k ScopeKey
	for i, p := range m.GetFragments() {
		path := fielderr.Index("fragments", i) + ".header_value_extractor"
		x := p.GetHeaderValueExtractor()
		if x == nil {
			l.Addf(path, "unset")
			continue
		}
		l.Add(path+".name", match.HeaderName(x.GetName()))
		f := scopeFragment{name: header.Intern(x.GetName()), separator: []byte(x.GetElementSeparator())}
		switch e := x.GetExtractType().(type) {
		case *hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Index:
			if f.index = int(e.Index); e.Index > 0 && len(f.separator) == 0 {
				l.Addf(path+".index", "%d, and no element_separator", e.Index)
			}
		case *hcmv3.ScopedRoutes_ScopeKeyBuilder_FragmentBuilder_HeaderValueExtractor_Element:
			f.keyed, f.key, f.mid = true, []byte(e.Element.GetKey()), []byte(e.Element.GetSeparator())
			if len(f.key) == 0 {
				l.Addf(path+".element.key", "empty")
			}
			if len(f.mid) == 0 {
				l.Addf(path+".element.separator", "empty")
			}
		default:
			l.Addf(path, "neither index nor element is set")
		}
		k = append(k, f)
	}
	if len(k) == 0 {
		l.Add("fragments", errors.New("empty"))
	}
	return k, l.Err()
}

// Unique says which of some scopes has the key of one before it.
func Unique(scopes []*Scope) error {
	by := map[string]string{}
	for _, s := range scopes {
		if other, dup := by[s.Key]; dup {
			return KeyTaken(s.Name, other)
		}
		by[s.Key] = s.Name
	}
	return nil
}

// KeyTaken says that a scope has the key of another one.
func KeyTaken(name, other string) error {
	return fmt.Errorf("key: scope %q has the same as %q", name, other)
}
