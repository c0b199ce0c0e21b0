// Package extension says what a typed_config may become: the factories of
// filters, load-balancing policies, access loggers and transport sockets, the
// registry that finds one by type URL, and the context of the pure parse step.
//
// It knows no runtime: a Factory's Build is opaque here and called by the
// package that runs the kind.
package extension

import (
	"errors"
	"fmt"
	"slices"
	"sort"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/runtime"
)

// Kind is what a factory makes.
type Kind string

// The kinds of extension.
const (
	ListenerFilter  Kind = "listener filter"
	NetworkFilter   Kind = "network filter"
	HTTPFilter      Kind = "HTTP filter"
	AccessLogger    Kind = "access logger"
	AccessLogFilter Kind = "access log filter"
	LBPolicy        Kind = "load-balancing policy"
	TransportSocket Kind = "transport socket"
	RetryPredicate  Kind = "retry host predicate"

	UpstreamTransportSocket Kind = "upstream transport socket"
)

// ErrUnknown is what Parse wraps for a configuration of a type that no factory
// takes: an optional extension may then be left out.
var ErrUnknown = errors.New("unsupported type")

// ErrLeftOut is what Parse wraps for a configuration of a type that no factory
// takes and that the configuration does without: what it configures is left out.
var ErrLeftOut = errors.New("left out")

// A Factory is one extension: it parses its configuration and, at run time,
// builds from what it parsed. Factories are values in a table, made once.
type Factory struct {
	Kind     Kind
	Name     string // Envoy's canonical name, e.g. "envoy.filters.http.router"
	TypeURL  string // of its configuration message
	RouteURL string // of its per-route configuration message, "" when it has none
	Terminal bool   // must be last in its chain
	// Parse turns the message into the model: pure, and an error is a NACK.
	Parse func(*anypb.Any, *Context) (any, error)
	// ParseRoute does the same for typed_per_filter_config.
	ParseRoute func(*anypb.Any, *Context) (any, error)
	// Build's type is known to the package that runs the kind.
	Build any
}

// A Parsed is an extension's configuration, ready to be built.
type Parsed struct {
	Name     string // the instance's name in the configuration
	Factory  *Factory
	Config   any
	Disabled bool
}

// A Context is what a parse step may ask for. It collects references.
type Context struct {
	Registry *Registry
	Runtime  *runtime.Registry // whose keys what is decoded reads; nil: all have their defaults
	Resource string            // name of the resource being decoded, for messages
	// LeaveOut tells the types of which a filter or access logger may be left out
	// where no factory takes them; nil: none.
	LeaveOut func(typeURL string) bool
	refs     []Ref
}

// NewContext makes a context for the decoding of one resource.
func NewContext(r *Registry, resource string) *Context {
	return &Context{Registry: r, Resource: resource}
}

// Key gives a key of the runtime, for what is decoded to hold. A nil Context has
// none.
func (c *Context) Key(name string) *runtime.Key {
	if c == nil {
		return nil
	}
	return c.Runtime.Key(name)
}

// Require says that the resource being decoded needs another before it serves.
func (c *Context) Require(typeURL, name string) { c.RequireFrom(typeURL, name, Source{}) }

// RequireFrom does so for a resource that says itself where it comes from, and
// gives the key by which the data plane knows it.
func (c *Context) RequireFrom(typeURL, name string, from Source) (key string) {
	return c.RequireRef(Ref{TypeURL: typeURL, Name: name, Source: from})
}

// RequireRef does so for a reference that says more.
func (c *Context) RequireRef(r Ref) (key string) {
	if !slices.Contains(c.refs, r) {
		c.refs = append(c.refs, r)
	}
	return r.Key()
}

// Refs lists what was required, in order.
func (c *Context) Refs() []Ref { return c.refs }

// Parse finds the factory of a nested extension by its configuration's type and
// parses it. An empty cfg is an error naming the extension.
func (c *Context) Parse(k Kind, name string, cfg *anypb.Any) (Parsed, error) {
	if cfg == nil {
		return Parsed{}, fmt.Errorf("%s %q: typed_config unset", k, name)
	}
	f, ok := c.Registry.ByType(k, cfg.TypeUrl)
	switch {
	case ok:
	case c.LeaveOut != nil && c.LeaveOut(cfg.TypeUrl):
		return Parsed{}, fmt.Errorf("%s %q: %w: %s", k, name, ErrLeftOut, cfg.TypeUrl)
	default:
		return Parsed{}, fmt.Errorf("%s %q: %w %s (supported: %s)", k, name, ErrUnknown, cfg.TypeUrl, c.Registry.names(k))
	}
	m, err := f.Parse(cfg, c)
	if err != nil {
		return Parsed{}, fmt.Errorf("typed_config (%s): %w", f.Name, err)
	}
	return Parsed{Name: name, Factory: f, Config: m}, nil
}

// A Registry finds factories. It is a value, made by NewRegistry and never
// changed.
type Registry struct {
	byType  map[key]*Factory
	byRoute map[string]*Factory
	byName  map[key]*Factory
}

type key struct {
	kind Kind
	s    string
}

// NewRegistry makes a registry of the given tables. Two factories of one kind
// with the same type URL or name are a mistake of the program: it panics,
// naming both.
func NewRegistry(tables ...[]*Factory) *Registry {
	r := &Registry{byType: map[key]*Factory{}, byRoute: map[string]*Factory{}, byName: map[key]*Factory{}}
	for _, t := range tables {
		for _, f := range t {
			if o, dup := r.byType[key{f.Kind, f.TypeURL}]; dup {
				panic(fmt.Sprintf("extension: %s and %s both take %s", o.Name, f.Name, f.TypeURL))
			}
			if o, dup := r.byName[key{f.Kind, f.Name}]; dup {
				panic(fmt.Sprintf("extension: two factories named %s (%s, %s)", f.Name, o.TypeURL, f.TypeURL))
			}
			r.byType[key{f.Kind, f.TypeURL}] = f
			r.byName[key{f.Kind, f.Name}] = f
			if f.RouteURL != "" {
				r.byRoute[f.RouteURL] = f
			}
		}
	}
	return r
}

// ByType finds a factory by the type URL of its configuration.
func (r *Registry) ByType(k Kind, typeURL string) (*Factory, bool) {
	f, ok := r.byType[key{k, typeURL}]
	return f, ok
}

// ByName finds a factory by Envoy's canonical name.
func (r *Registry) ByName(k Kind, name string) (*Factory, bool) {
	f, ok := r.byName[key{k, name}]
	return f, ok
}

// ByRouteType finds the HTTP filter whose per-route configuration has that type.
func (r *Registry) ByRouteType(typeURL string) (*Factory, bool) {
	f, ok := r.byRoute[typeURL]
	return f, ok
}

// All lists the factories by kind and name.
func (r *Registry) All() []*Factory {
	out := make([]*Factory, 0, len(r.byName))
	for _, f := range r.byName {
		out = append(out, f)
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].Kind != out[j].Kind {
			return out[i].Kind < out[j].Kind
		}
		return out[i].Name < out[j].Name
	})
	return out
}

func (r *Registry) names(k Kind) string {
	s := ""
	for _, f := range r.All() {
		if f.Kind == k {
			if s != "" {
				s += ", "
			}
			s += f.Name
		}
	}
	return s
}
