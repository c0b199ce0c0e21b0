package config

import (
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/secret"
	"google.golang.org/protobuf/types/known/anypb"
)

// A Resource is one decoded xDS resource.
type Resource struct {
	Name     string
	Version  string // of the response that brought it; "" for static ones
	Static   bool
	Value    any             // *listener.Listener, *route.Table, *cluster.Cluster, *cluster.Assignment, *secret.Secret, *extension.Parsed, *route.Scope, *route.Hosts or *runtime.Layer
	Refs     []extension.Ref // what must be there before this one can serve
	Raw      *anypb.Any      // as received: compared by bytes, printed by /config_dump
	Degraded []string        // fields that were accepted without effect: path and why
}

// A Snapshot is the whole configuration at one moment. It is never changed: a
// new one shares every resource that did not change, pointer for pointer, which
// is how the runtime knows what to leave alone.
type Snapshot struct {
	Version   uint64               // counts up with every snapshot
	Runtime   map[string]*Resource // by extension.Ref.Key
	Secrets   map[string]*Resource // by extension.Ref.Key
	Listeners map[string]*Resource
	Routes    map[string]*Resource
	Clusters  map[string]*Resource
	Endpoints map[string]*Resource

	Scopes     map[string]*Resource // of SRDS, by extension.Ref.Key
	Hosts      map[string]*Resource // virtual hosts of VHDS, by extension.Ref.Key: <route configuration>/<name>
	Extensions map[string]*Resource // what config_discovery refers to, by extension.Ref.Key
}

// All gives the resources of every type, in make-before-break order.
func (s *Snapshot) All() []map[string]*Resource {
	return []map[string]*Resource{s.Runtime, s.Secrets, s.Extensions, s.Clusters, s.Endpoints, s.Listeners, s.Routes, s.Scopes, s.Hosts}
}

// Of gives the resources of a type, nil when there is no such type.
func (s *Snapshot) Of(typeURL string) *map[string]*Resource {
	switch typeURL {
	case RuntimeURL:
		return &s.Runtime
	case SecretURL:
		return &s.Secrets
	case ListenerURL:
		return &s.Listeners
	case RouteURL:
		return &s.Routes
	case ClusterURL:
		return &s.Clusters
	case AssignmentURL:
		return &s.Endpoints
	case ExtensionURL:
		return &s.Extensions
	case ScopeURL:
		return &s.Scopes
	}
	return nil
}

// Listener gives a listener's model, nil when there is none.
func (s *Snapshot) Listener(name string) *listener.Listener {
	return value[*listener.Listener](s.Listeners, name)
}

// RuntimeLayer gives a layer of a control plane by key, nil when there is none.
func (s *Snapshot) RuntimeLayer(key string) *runtime.Layer {
	return value[*runtime.Layer](s.Runtime, key)
}

// Secret gives a secret by key, nil when there is none.
func (s *Snapshot) Secret(key string) *secret.Secret { return value[*secret.Secret](s.Secrets, key) }

// Route gives a route table, nil when there is none.
func (s *Snapshot) Route(name string) *route.Table { return value[*route.Table](s.Routes, name) }

// Cluster gives a cluster's model, nil when there is none.
func (s *Snapshot) Cluster(name string) *cluster.Cluster {
	return value[*cluster.Cluster](s.Clusters, name)
}

// Assignment gives a cluster's endpoints by assignment name, nil when there are none.
func (s *Snapshot) Assignment(name string) *cluster.Assignment {
	return value[*cluster.Assignment](s.Endpoints, name)
}

// Scope gives a scope of routes by key, nil when there is none.
func (s *Snapshot) Scope(key string) *route.Scope { return value[*route.Scope](s.Scopes, key) }

// Host gives a discovered virtual host by key, nil when there is none.
func (s *Snapshot) Host(key string) *route.Hosts { return value[*route.Hosts](s.Hosts, key) }

// Extension gives a discovered configuration by key, nil when there is none.
func (s *Snapshot) Extension(key string) *extension.Parsed {
	return value[*extension.Parsed](s.Extensions, key)
}

func value[T any](m map[string]*Resource, name string) (zero T) {
	if r := m[name]; r != nil {
		if v, ok := r.Value.(T); ok {
			return v
		}
	}
	return zero
}
