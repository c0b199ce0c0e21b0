package config

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/config/support"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// The type URLs of the xDS resources.
const (
	ClusterURL    = "type.googleapis.com/envoy.config.cluster.v3.Cluster"
	AssignmentURL = cluster.AssignmentURL
	ListenerURL   = "type.googleapis.com/envoy.config.listener.v3.Listener"
	RouteURL      = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"
	SecretURL     = secret.TypeURL
	ExtensionURL  = core.ExtensionURL
	RuntimeURL    = runtime.TypeURL
	ScopeURL      = route.ScopeURL

	VirtualHostURL = route.VirtualHostURL
)

// A ResourceType is one kind of xDS resource.
type ResourceType struct {
	TypeURL   string
	Short     string // "cds"
	Kind      string // "cluster", for people
	FullState bool   // a state-of-the-world response lists every resource there is
	Decode    func(*Decoder, *anypb.Any) (*Resource, error)
}

// Types is the table of xDS types, in make-before-break order: what is referred to comes before what refers to it.
func Types() []ResourceType {
	return []ResourceType{
		{RuntimeURL, "rtds", "runtime", false, decode(
			func(m *runtimev3.Runtime) string { return m.GetName() },
			func(m *runtimev3.Runtime, _ *extension.Context) (string, any, error) {
				l, err := runtime.Decode(m)
				return m.GetName(), l, err
			})},
		{SecretURL, "sds", "secret", false, decode(
			func(m *tlsv3.Secret) string { return m.GetName() },
			func(m *tlsv3.Secret, ctx *extension.Context) (string, any, error) {
				s, err := secret.Decode(m, ctx)
				return m.GetName(), s, err
			})},
		{ClusterURL, "cds", "cluster", true, decode(
			func(m *clusterv3.Cluster) string { return m.GetName() },
			func(m *clusterv3.Cluster, ctx *extension.Context) (string, any, error) {
				c, err := cluster.Decode(m, ctx)
				return m.GetName(), c, err
			})},
		{AssignmentURL, "eds", "endpoints", false, decode(
			func(m *endpointv3.ClusterLoadAssignment) string { return m.GetClusterName() },
			func(m *endpointv3.ClusterLoadAssignment, _ *extension.Context) (string, any, error) {
				a, err := cluster.DecodeAssignment(m)
				return m.GetClusterName(), a, err
			})},
		{ListenerURL, "lds", "listener", true, decode(
			func(m *listenerv3.Listener) string { return m.GetName() },
			func(m *listenerv3.Listener, ctx *extension.Context) (string, any, error) {
				l, err := listener.Decode(m, ctx)
				if err != nil {
					return m.GetName(), nil, err
				}
				return l.Name, l, nil // of its address when it has none
			})},
		{RouteURL, "rds", "route", false, decode(
			func(m *routev3.RouteConfiguration) string { return m.GetName() },
			func(m *routev3.RouteConfiguration, ctx *extension.Context) (string, any, error) {
				t, err := route.Decode(m, ctx)
				return m.GetName(), t, err
			})},
		{ScopeURL, "srds", "scope", true, decode(
			func(m *routev3.ScopedRouteConfiguration) string { return m.GetName() },
			func(m *routev3.ScopedRouteConfiguration, ctx *extension.Context) (string, any, error) {
				s, err := route.DecodeScope(m, extension.Source{}, ctx)
				return m.GetName(), s, err
			})},
		{VirtualHostURL, "vhds", "virtual host", true, decode(
			func(m *routev3.VirtualHost) string { return m.GetName() },
			func(m *routev3.VirtualHost, ctx *extension.Context) (string, any, error) {
				h, err := route.DecodeVirtualHost(m, ctx)
				return m.GetName(), h, err
			})},
		{ExtensionURL, "ecds", "extension", false, decode(
			func(m *corev3.TypedExtensionConfig) string { return m.GetName() },
			func(m *corev3.TypedExtensionConfig, ctx *extension.Context) (string, any, error) {
				p, err := core.DecodeExtension(m, ctx)
				return m.GetName(), p, err
			})},
	}
}

// TypeOf finds a row of the table.
func TypeOf(typeURL string) (ResourceType, bool) {
	for _, t := range Types() {
		if t.TypeURL == typeURL {
			return t, true
		}
	}
	return ResourceType{}, false
}

// decode is the way of every resource from bytes to the model: unmarshal, check the constraints of the protos and the support
// table, build the model. All of them report, so that one answer has every mistake.
func decode[M any, P interface {
	*M
	proto.Message
}](name func(P) string, model func(P, *extension.Context) (string, any, error)) func(*Decoder, *anypb.Any) (*Resource, error) {
	return func(d *Decoder, a *anypb.Any) (*Resource, error) {
		m := P(new(M))
		if err := a.UnmarshalTo(m); err != nil {
			return nil, fmt.Errorf("malformed %s: %w", m.ProtoReflect().Descriptor().Name(), err)
		}
		unwrap(m, a.GetValue())
		e := &Error{Name: name(m)}
		if e.Name == "" && !d.static {
			e.Errs = append(e.Errs, fieldError("", errors.New("the resource has no name")))
		}
		degraded := d.check(e, m)
		ctx := extension.NewContext(d.Registry, e.Name)
		ctx.Runtime = d.Runtime
		ctx.LeaveOut = support.MayLeaveOut
		n, v, err := model(m, ctx)
		e.add(err)
		e.add(d.secrets(ctx.Refs()))
		if len(e.Errs) > 0 {
			return nil, e
		}
		return &Resource{Name: n, Static: d.static, Value: v, Refs: ctx.Refs(), Raw: a, Degraded: degraded}, nil
	}
}

// ReadSecret decodes a secret again, for the files that it names may have changed. What r was decoded from was valid then.
func ReadSecret(r *Resource) (*secret.Secret, error) {
	m := &tlsv3.Secret{}
	if err := r.Raw.UnmarshalTo(m); err != nil {
		return nil, fmt.Errorf("malformed %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	s, err := secret.Decode(m, nil)
	if err != nil {
		e := &Error{Kind: "secret", Name: r.Name}
		e.add(err)
		return nil, e
	}
	return s, nil
}

// Unchanged says that a resource was decoded from these very bytes, so that it need not be decoded again. A nil resource was not.
func Unchanged(prev *Resource, a *anypb.Any) bool {
	return prev != nil && prev.Raw != nil && a != nil &&
		messageName(prev.Raw) == messageName(a) && bytes.Equal(prev.Raw.GetValue(), a.GetValue())
}

func messageName(a *anypb.Any) string {
	u := a.GetTypeUrl()
	return u[strings.LastIndexByte(u, '/')+1:]
}
