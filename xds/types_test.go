package xds

import (
	"strings"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// The table of types here says what the protocol does with what config.Types lists.
func TestTypesAreThoseOfConfig(t *testing.T) {
	types := config.Types()
	if len(types) != int(kinds) {
		t.Fatalf("config has %d types, xds %d", len(types), kinds)
	}
	for i, c := range types {
		if r := rows[i]; r.url != c.TypeURL || r.short != c.Short || r.noun != c.Kind || r.full != c.FullState {
			t.Errorf("row %d is %+v, config has %s %s %s full=%v", i, r, c.TypeURL, c.Short, c.Kind, c.FullState)
		}
	}
}

// Every RPC has an incremental variant of the name that deltaMethod makes.
func TestDeltaMethodsAreThoseOfTheProtos(t *testing.T) {
	methods := []string{discoveryv3.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName}
	for _, r := range rows {
		methods = append(methods, r.rpc)
	}
	for _, m := range methods {
		name := protoreflect.FullName(strings.ReplaceAll(strings.TrimPrefix(deltaMethod(m), "/"), "/", "."))
		d, err := protoregistry.GlobalFiles.FindDescriptorByName(name)
		if err != nil {
			t.Errorf("%s: %v", m, err)
			continue
		}
		if in := d.(protoreflect.MethodDescriptor).Input().Name(); in != "DeltaDiscoveryRequest" {
			t.Errorf("%s takes a %s", name, in)
		}
	}
}
