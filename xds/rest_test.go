package xds_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	restv3 "github.com/envoyproxy/go-control-plane/pkg/server/rest/v3"
	"github.com/weirproxy/weir/xds"
	"google.golang.org/protobuf/encoding/protojson"
)

// gateway is go-control-plane's REST server, behind what its HTTPGateway does. (The real one is in test/controlplane: its package needs
// more modules.)
type gateway struct {
	w     *world
	cache cache.SnapshotCache
	http  *http.Server
	addr  string
	asked []*discoveryv3.DiscoveryRequest // guarded by w.mu
	codes []int                           // likewise: of the answers
}

type oneNode struct{}

func (oneNode) ID(*corev3.Node) string { return "" }

// newGateway serves on the address, or on a new one.
func newGateway(w *world, addr string) *gateway {
	g := &gateway{w: w, cache: cache.NewSnapshotCache(false, oneNode{}, nil)}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		w.t.Fatal(err)
	}
	g.addr = l.Addr().String()
	api := restv3.NewServer(g.cache, nil)
	g.http = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		m := &discoveryv3.DiscoveryRequest{}
		if err := protojson.Unmarshal(body, m); err != nil || req.Method != http.MethodPost || req.Host != "rest" || req.URL.Path != "/v3/discovery:clusters" {
			w.t.Errorf("%s %s to %s: %v", req.Method, req.URL, req.Host, err)
		}
		m.TypeUrl = xds.ClusterType
		r, err := api.Fetch(req.Context(), m)
		code := http.StatusOK
		var skip *types.SkipFetchError
		if errors.As(err, &skip) {
			code, err = http.StatusNotModified, nil
		} else if err != nil {
			code = http.StatusInternalServerError
		}
		w.note(func() { g.asked, g.codes = append(g.asked, m), append(g.codes, code) })
		rw.WriteHeader(code)
		switch {
		case err != nil:
			_, _ = io.WriteString(rw, err.Error())
		case r != nil:
			b, _ := protojson.MarshalOptions{UseProtoNames: true}.Marshal(r)
			_, _ = rw.Write(b)
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = g.http.Serve(l) }()
	w.t.Cleanup(func() { _ = g.http.Close(); <-done })
	return g
}

// set gives the gateway clusters of one version.
func (g *gateway) set(version string, resources ...types.Resource) {
	g.w.t.Helper()
	s, err := cache.NewSnapshot(version, map[string][]types.Resource{xds.ClusterType: resources})
	if err != nil {
		g.w.t.Fatal(err)
	}
	if err := g.cache.SetSnapshot(context.Background(), "", s); err != nil {
		g.w.t.Fatal(err)
	}
}

// rest polls gateways for clusters.
func rest(gs ...*gateway) *xds.REST {
	r := &xds.REST{Name: "cds", Type: xds.SourceType{TypeURL: xds.ClusterType}, Refresh: 5 * time.Millisecond}
	for _, g := range gs {
		r.Services = append(r.Services, xds.Service{Name: "rest", Target: g.addr})
	}
	return r
}

func TestRESTIsPolled(t *testing.T) {
	w := newWorld(t)
	g := newGateway(w, "127.0.0.1:0")
	g.set("1", edsCluster("a"))
	w.connect(xds.Options{Remotes: []xds.Remote{rest(g)}, WarmingDeadline: time.Millisecond})
	w.wait("the first cluster", func() bool { return w.last().Clusters["a"] != nil })
	w.wait("an answer that says: nothing new", func() bool { return slices.Contains(g.codes, http.StatusNotModified) })
	w.note(func() {
		if r := g.asked[0]; r.GetVersionInfo() != "" || r.GetNode().GetId() != "gw-1" || r.GetTypeUrl() != xds.ClusterType {
			t.Errorf("first request: %v", r)
		}
		if r := g.asked[len(g.asked)-1]; r.GetVersionInfo() != "1" || r.GetNode().GetId() != "gw-1" {
			t.Errorf("last request: %v", r)
		}
	})
	g.set("2", edsCluster("a"), edsCluster("b"))
	w.wait("the second cluster", func() bool { return w.last().Clusters["b"] != nil })

	g.set("3", badCluster("a")) // one: the cache lists several in any order, which is another answer
	refusal := func(r *discoveryv3.DiscoveryRequest) bool {
		return strings.Contains(r.GetErrorDetail().GetMessage(), "connect_timeout")
	}
	w.wait("the refusal", func() bool { return slices.ContainsFunc(g.asked, refusal) })
	n := 0
	w.note(func() { n = len(g.asked) })
	w.wait("more polls", func() bool { return len(g.asked) > n+3 })
	w.note(func() {
		told := 0
		for _, r := range g.asked {
			if refusal(r) {
				told++
			}
		}
		if told != 1 {
			t.Errorf("the refusal was told %d times", told)
		}
		if v := g.asked[len(g.asked)-1].GetVersionInfo(); v != "2" {
			t.Errorf("version %q is asked with, want the last that was accepted", v)
		}
	})
	if n := w.client.Stats().Type(xds.ClusterType).Rejected.Load(); n != 1 {
		t.Errorf("update_rejected is %d", n)
	}
	g.set("4", edsCluster("c"))
	w.wait("the repair", func() bool { return w.last().Clusters["c"] != nil && w.last().Clusters["a"] == nil })
}

func TestRESTNextServer(t *testing.T) {
	w := newWorld(t)
	one, two := newGateway(w, "127.0.0.1:0"), newGateway(w, "127.0.0.1:0")
	two.set("1", edsCluster("a"))
	// The first answers 500, as it has no snapshot.
	w.connect(xds.Options{Remotes: []xds.Remote{rest(one, two)}, WarmingDeadline: time.Millisecond})
	w.wait("the cluster of the second", func() bool { return w.last().Clusters["a"] != nil })
	if f := w.client.Stats().Type(xds.ClusterType).Failure.Load(); f == 0 {
		t.Error("update_failure is 0")
	}
	one.set("1", edsCluster("b"))
	if err := two.http.Close(); err != nil {
		t.Fatal(err)
	}
	w.wait("the cluster of the first", func() bool { return w.last().Clusters["b"] != nil })
}

// A server may say nothing in many ways, and be wrong in more.
func TestRESTAnswers(t *testing.T) {
	w := newWorld(t)
	answers := []struct {
		code int
		body string
		want string
	}{
		{500, "no\nmore", "cds: response: status 500: no; next"},
		{404, "", "cds: response: status 404: ; next"},
		{301, "x", "cds: response: status 301: x; next"},
		{200, "{", "cds: response: proto:"},
		{200, `{"resources":[{"@type":"type.googleapis.com/no.such.Type"}]}`, "cds: response: proto:"},
		{200, "  \n", ""},
		{200, `{"version_info":"1","unknown":1}`, ""},
	}
	logs := make(chan string, 1000)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	s := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		a := answers[min(n, len(answers)-1)]
		n++
		if a.code == 301 {
			rw.Header().Set("Location", "/elsewhere")
		}
		rw.WriteHeader(a.code)
		_, _ = io.WriteString(rw, a.body)
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	w.logs = logs
	w.connect(xds.Options{Remotes: []xds.Remote{rest(&gateway{addr: l.Addr().String()})}})
	for _, a := range answers {
		for a.want != "" {
			line := <-logs
			if strings.Contains(line, a.want) {
				break
			}
			if strings.Contains(line, "next try") {
				t.Fatalf("logged %q, want %q", line, a.want)
			}
		}
	}
	w.wait("the empty world", func() bool { return w.client.Stats().Type(xds.ClusterType).Success.Load() == 1 })
}
