package filters

import (
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/upstream"
)

// A Build makes a filter, logger or transport of a parsed configuration. What it
// returns must be of the kind its factory says.
type Build func(cfg any, bc *BuildContext) (any, error)

// An Option changes a factory under construction.
type Option func(*extension.Factory)

// Terminating says that the filter ends its chain.
func Terminating() Option { return func(f *extension.Factory) { f.Terminal = true } }

// PerRoute adds a per-route configuration of message type M.
func PerRoute[M proto.Message, C any](parse func(M, *extension.Context) (C, error)) Option {
	return func(f *extension.Factory) {
		f.RouteURL = typeURL[M]()
		f.ParseRoute = decode(parse)
	}
}

// NewHTTP makes the factory of an HTTP filter: parse is pure, and its error is a
// NACK; build binds statistics, slots and clusters. The type URL comes from M.
func NewHTTP[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts ...Option) *extension.Factory {
	return newFactory(extension.HTTPFilter, name, parse, build, opts)
}

// NewNetwork makes the factory of a network filter.
func NewNetwork[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts ...Option) *extension.Factory {
	return newFactory(extension.NetworkFilter, name, parse, build, opts)
}

// NewListener makes the factory of a listener filter.
func NewListener[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts ...Option) *extension.Factory {
	return newFactory(extension.ListenerFilter, name, parse, build, opts)
}

// NewAccessLogger makes the factory of an access logger.
func NewAccessLogger[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts ...Option) *extension.Factory {
	return newFactory(extension.AccessLogger, name, parse, build, opts)
}

// NewAccessLogFilter makes the factory of a filter of access logs.
func NewAccessLogFilter[M proto.Message](name string, parse func(M, *extension.Context) (LogFilter, error)) *extension.Factory {
	return newFactory(extension.AccessLogFilter, name, parse, func(f LogFilter, _ *BuildContext) (any, error) { return f, nil }, nil)
}

// NewTransportSocket makes the factory of a downstream transport socket.
func NewTransportSocket[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts ...Option) *extension.Factory {
	return newFactory(extension.TransportSocket, name, parse, build, opts)
}

// NewUpstreamTransportSocket makes the factory of an upstream transport socket, which
// package upstream builds.
func NewUpstreamTransportSocket[M proto.Message, C any](name string, parse func(M, *extension.Context) (C, error), build func(C, *upstream.TransportContext) (upstream.Transport, error)) *extension.Factory {
	return &extension.Factory{
		Kind: extension.UpstreamTransportSocket, Name: name, TypeURL: typeURL[M](),
		Parse: decode(parse),
		Build: upstream.BuildTransport(func(cfg any, tc *upstream.TransportContext) (upstream.Transport, error) { return build(cfg.(C), tc) }),
	}
}

func newFactory[M proto.Message, C any](k extension.Kind, name string, parse func(M, *extension.Context) (C, error), build func(C, *BuildContext) (any, error), opts []Option) *extension.Factory {
	f := &extension.Factory{
		Kind: k, Name: name, TypeURL: typeURL[M](),
		Parse: decode(parse),
		Build: Build(func(cfg any, bc *BuildContext) (any, error) { return build(cfg.(C), bc) }),
	}
	for _, o := range opts {
		o(f)
	}
	return f
}

// Make builds a parsed extension; of one whose configuration is discovered it
// makes a *Discovered.
func Make(p extension.Parsed, bc *BuildContext) (any, error) {
	if d := p.Discovery(); d != nil {
		return discover(p, d, bc)
	}
	b, ok := p.Factory.Build.(Build)
	if !ok {
		return nil, fmt.Errorf("%s %q cannot be built here", p.Factory.Kind, p.Name)
	}
	own := *bc
	own.Name = p.Name
	return b(p.Config, &own)
}

func typeURL[M proto.Message]() string {
	var m M
	return "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName())
}

func decode[M proto.Message, C any](parse func(M, *extension.Context) (C, error)) func(*anypb.Any, *extension.Context) (any, error) {
	return func(a *anypb.Any, c *extension.Context) (any, error) {
		var zero M
		m := zero.ProtoReflect().New().Interface().(M)
		if err := a.UnmarshalTo(m); err != nil {
			return nil, fmt.Errorf("unmarshal %s: %w", a.TypeUrl, err)
		}
		if err := fielderr.Validate(m); err != nil {
			return nil, err
		}
		return parse(m, c)
	}
}
