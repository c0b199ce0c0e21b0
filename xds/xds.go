// Package xds keeps the discovery streams: it subscribes, ACKs and NACKs, caches, warms, and emits whole snapshots.
//
//  1. A [Session] decides. It is a pure state machine: events go in, actions come out; it has no socket, clock or goroutine.
//     Every protocol rule lives there and is told as a text script in testdata.
//  2. A [Client] acts. It dials, receives, decodes, runs timers and hands each [config.Snapshot] to Apply. Files
//     (path_config_source) and the static bootstrap enter by the same door as the stream.
//  3. A resource is decoded once. Bytes that did not change keep the *config.Resource they had, pointer for pointer.
//  4. A listener or cluster enters a snapshot when what it refers to is there; until then the old one keeps serving. Secrets go
//     before clusters and endpoints, these before listeners and routes, removals go last. Waiting has a deadline, and what is waited
//     for has a name.
//  5. A reference may name a source of its own: a stream or a file that is opened when the first such reference appears, and closed
//     when the last one is gone. The bootstrap itself refers to runtime layers: see roots.go.
//
// The protocol: https://www.envoyproxy.io/docs/envoy/latest/api-docs/xds_protocol.
package xds

import (
	clusterservice "github.com/envoyproxy/go-control-plane/envoy/service/cluster/v3"
	endpointservice "github.com/envoyproxy/go-control-plane/envoy/service/endpoint/v3"
	extensionservice "github.com/envoyproxy/go-control-plane/envoy/service/extension/v3"
	listenerservice "github.com/envoyproxy/go-control-plane/envoy/service/listener/v3"
	routeservice "github.com/envoyproxy/go-control-plane/envoy/service/route/v3"
	runtimeservice "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	secretservice "github.com/envoyproxy/go-control-plane/envoy/service/secret/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// The type URLs of the resources that a Session manages.
const (
	ClusterType  = config.ClusterURL
	EndpointType = config.AssignmentURL
	ListenerType = config.ListenerURL
	RouteType    = config.RouteURL
	SecretType   = config.SecretURL

	ExtensionType = config.ExtensionURL
	RuntimeType   = config.RuntimeURL
	ScopeType     = config.ScopeURL

	VirtualHostType = config.VirtualHostURL
)

// kind numbers the resource types in the order they are applied: make before break (Envoy: eventual consistency considerations).
type kind int

const (
	rtds kind = iota
	sds
	cds
	eds
	lds
	rds
	srds
	vhds
	ecds
	kinds
)

// row is what the protocol says about one type.
type row struct {
	url    string
	short  string // as in Envoy's statistics: cds, eds …
	noun   string // for people
	full   bool   // subscribed by wildcard, and if it has owners only once one of them refers to "*"; a SotW response lists every resource, and what it lacks is removed
	owner  []kind // the types whose Refs name resources of this one, for types that are not full; SessionOptions.Roots name more
	leaves bool   // a removal takes it away though something refers to it; what serves of other types not full stays
	rpc    string // of the service that serves this type alone
}

// rows is the table of types; a test holds it to config.Types.
var rows = [kinds]row{
	rtds: {url: RuntimeType, short: "rtds", noun: "runtime", leaves: true, rpc: runtimeservice.RuntimeDiscoveryService_StreamRuntime_FullMethodName},
	sds:  {url: SecretType, short: "sds", noun: "secret", owner: []kind{cds, lds, ecds}, rpc: secretservice.SecretDiscoveryService_StreamSecrets_FullMethodName},
	cds:  {url: ClusterType, short: "cds", noun: "cluster", full: true, rpc: clusterservice.ClusterDiscoveryService_StreamClusters_FullMethodName},
	eds:  {url: EndpointType, short: "eds", noun: "endpoints", owner: []kind{cds}, rpc: endpointservice.EndpointDiscoveryService_StreamEndpoints_FullMethodName},
	lds:  {url: ListenerType, short: "lds", noun: "listener", full: true, rpc: listenerservice.ListenerDiscoveryService_StreamListeners_FullMethodName},
	rds:  {url: RouteType, short: "rds", noun: "route", owner: []kind{lds, srds, ecds}, rpc: routeservice.RouteDiscoveryService_StreamRoutes_FullMethodName},
	srds: {url: ScopeType, short: "srds", noun: "scope", full: true, owner: []kind{lds, ecds}, rpc: routeservice.ScopedRoutesDiscoveryService_StreamScopedRoutes_FullMethodName},
	vhds: {url: VirtualHostType, short: "vhds", noun: "virtual host", full: true, owner: []kind{rds}, rpc: routeservice.VirtualHostDiscoveryService_DeltaVirtualHosts_FullMethodName},
	ecds: {url: ExtensionType, short: "ecds", noun: "extension", owner: []kind{lds, ecds}, leaves: true, rpc: extensionservice.ExtensionConfigDiscoveryService_StreamExtensionConfigs_FullMethodName},
}

// kindOf finds a type by its URL.
func kindOf(url string) (kind, bool) {
	for k := range rows {
		if rows[k].url == url {
			return kind(k), true
		}
	}
	return 0, false
}

// refWord names a referenced resource in messages: `EDS "a"`.
func refWord(r extension.Ref) string {
	switch r.TypeURL {
	case EndpointType:
		return quote("EDS", r.Name)
	case RouteType:
		return quote("RDS", r.Name)
	case SecretType:
		return quote("SDS", r.Name)
	case ScopeType:
		return "SRDS"
	case VirtualHostType:
		if r.Name == "*" {
			return "VHDS"
		}
		return quote("VHDS", r.Name)
	case ExtensionType:
		return quote("ECDS", r.Name)
	case RuntimeType:
		return quote("RTDS", r.Name)
	}
	return quote(r.TypeURL, r.Name)
}

func quote(word, name string) string { return word + ` "` + name + `"` }
