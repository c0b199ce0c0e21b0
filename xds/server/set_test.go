package server

import (
	"fmt"
	"strings"
	"testing"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"google.golang.org/protobuf/proto"
)

func snapshotOf(t *testing.T, ms ...proto.Message) *cache.Snapshot {
	t.Helper()
	s := &resourceSet{}
	for _, m := range ms {
		if err := s.add(m, nil); err != nil {
			t.Fatal(err)
		}
	}
	snap, err := s.snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// What changes goes out type by type: clusters, endpoints, listeners, routes.
func TestStagesMakeBeforeBreak(t *testing.T) {
	a := snapshotOf(t)
	b := snapshotOf(t, &routev3.RouteConfiguration{Name: "r"}, &listenerv3.Listener{Name: "l"},
		&endpointv3.ClusterLoadAssignment{ClusterName: "e"}, &clusterv3.Cluster{Name: "c"})
	counts := func(ss []*cache.Snapshot) string {
		var l []string
		for _, s := range ss {
			l = append(l, fmt.Sprintf("%d%d%d%d", len(s.Resources[types.Cluster].Items), len(s.Resources[types.Endpoint].Items),
				len(s.Resources[types.Listener].Items), len(s.Resources[types.Route].Items)))
		}
		return strings.Join(l, " ")
	}
	for _, tc := range []struct {
		name     string
		from, to *cache.Snapshot
		want     string
	}{
		{"the first", nil, b, "1111"},
		{"all types", a, b, "1000 1100 1110 1111 1111"},
		{"one type", b, snapshotOf(t, &routev3.RouteConfiguration{Name: "r"}, &listenerv3.Listener{Name: "l"},
			&endpointv3.ClusterLoadAssignment{ClusterName: "e"}, &clusterv3.Cluster{Name: "c"}, &clusterv3.Cluster{Name: "c2"}), "2111 2111"},
		{"nothing", b, b, "1111"},
	} {
		if got := counts(stages(tc.from, tc.to)); got != tc.want {
			t.Errorf("%s: stages (clusters, endpoints, listeners, routes) %s, want %s", tc.name, got, tc.want)
		}
	}
}

// A type without resources has a version too: a client waits for the first answer of every type.
func TestEmptyTypesHaveVersions(t *testing.T) {
	s := snapshotOf(t)
	for ty := range types.UnknownType {
		if url, err := cache.GetResponseTypeURL(ty); err == nil && s.GetVersion(url) == "" {
			t.Errorf("%s has no version", url)
		}
	}
}
