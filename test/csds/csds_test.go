// Package csds_test asks the client status discovery service as tools do: by gRPC on the port of the admin interface.
package csds_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/admin"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/csds"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is when everything happened.
func at(s int) time.Time { return time.Date(2026, 1, 2, 3, 4, s, 0, time.UTC) }

// serve runs an admin interface over a made-up state and gives a client of its gRPC service.
func serve(t *testing.T, ln net.Listener, target string) statusv3.ClientStatusDiscoveryServiceClient {
	t.Helper()
	store := stats.NewStore()
	p, err := proxy.New(proxy.Options{Log: zap.NewNop(), Stats: store, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := anypb.New(&corev3.Node{Id: "stands for a cluster"})
	if err != nil {
		t.Fatal(err)
	}
	snap := &config.Snapshot{Version: 1, Clusters: map[string]*config.Resource{"good": {Name: "good", Version: "1", Raw: a}}}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan struct{})
	go func() { defer close(ran); _ = p.Run(ctx) }()
	if err := p.Apply(snap); err != nil {
		t.Fatal(err)
	}
	var s *admin.Server
	s = admin.New(admin.Options{
		Stats: store, Proxy: p, Node: &corev3.Node{Id: "gw-1"},
		GRPC: csds.Handler(func(r *statusv3.ClientStatusRequest) *statusv3.ClientStatusResponse { return s.ClientStatus(r) }),
		XDS: func() xds.Status {
			return xds.Status{Types: []xds.TypeStatus{{TypeURL: config.ClusterURL, Short: "cds", Resources: []xds.ResourceStatus{
				{Name: "bad", State: xds.Nacked, Error: &xds.ResourceError{Version: "2", At: at(5), Text: "wrong"}},
				{Name: "good", State: xds.Acked, Version: "1", Updated: at(3)},
				{Name: "none", State: xds.DoesNotExist},
				{Name: "waited", State: xds.Requested},
			}}}}
		},
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		<-ran
	})
	return statusv3.NewClientStatusDiscoveryServiceClient(conn)
}

func TestFetchAndStream(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			addr := "127.0.0.1:0"
			if network == "unix" {
				addr = filepath.Join(t.TempDir(), "admin.sock")
			}
			ln, err := net.Listen(network, addr)
			if err != nil {
				t.Fatal(err)
			}
			target := ln.Addr().String()
			if network == "unix" {
				target = "unix:" + addr
			}
			c := serve(t, ln, target)
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			r, err := c.FetchClientStatus(ctx, &statusv3.ClientStatusRequest{})
			if err != nil {
				t.Fatal(err)
			}
			check(t, r, true)
			st, err := c.StreamClientStatus(ctx)
			if err != nil {
				t.Fatal(err)
			}
			for _, bare := range []bool{false, true} {
				if err := st.Send(&statusv3.ClientStatusRequest{ExcludeResourceContents: bare}); err != nil {
					t.Fatal(err)
				}
				if r, err = st.Recv(); err != nil {
					t.Fatal(err)
				}
				check(t, r, !bare)
			}
			if err := st.CloseSend(); err != nil {
				t.Error(err)
			}
			_, err = c.FetchClientStatus(ctx, &statusv3.ClientStatusRequest{NodeMatchers: []*matcherv3.NodeMatcher{{}}})
			if status.Code(err) != codes.InvalidArgument {
				t.Errorf("node_matchers: %v", err)
			}
		})
	}
}

func check(t *testing.T, r *statusv3.ClientStatusResponse, contents bool) {
	t.Helper()
	if len(r.GetConfig()) != 1 || r.Config[0].GetNode().GetId() != "gw-1" || len(r.Config[0].GenericXdsConfigs) != 4 {
		t.Fatalf("got %v", r)
	}
	byName := map[string]*statusv3.ClientConfig_GenericXdsConfig{}
	for _, g := range r.Config[0].GenericXdsConfigs {
		byName[g.Name] = g
	}
	for name, want := range map[string]adminv3.ClientResourceStatus{
		"bad": adminv3.ClientResourceStatus_NACKED, "good": adminv3.ClientResourceStatus_ACKED,
		"none": adminv3.ClientResourceStatus_DOES_NOT_EXIST, "waited": adminv3.ClientResourceStatus_REQUESTED,
	} {
		if got := byName[name].GetClientStatus(); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if e := byName["bad"].GetErrorState(); e.GetDetails() != "wrong" || e.GetVersionInfo() != "2" || !e.GetLastUpdateAttempt().AsTime().Equal(at(5)) {
		t.Errorf("error_state %v", e)
	}
	if g := byName["good"]; g.VersionInfo != "1" || !g.LastUpdated.AsTime().Equal(at(3)) || (g.XdsConfig != nil) != contents {
		t.Errorf("good: %v", g)
	}
}
