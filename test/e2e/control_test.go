package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/xds/server"
)

// dynamic is a bootstrap that gets everything from the control plane.
const dynamic = `
node: {id: e2e, cluster: e2e}
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: control}}]
  lds_config: {ads: {}, resource_api_version: V3}
  cds_config: {ads: {}, resource_api_version: V3}
static_resources:
  clusters:
  - name: control
    type: STATIC
    connect_timeout: 1s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment:
      cluster_name: control
      endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 18000}}}}]}]
`

// shop is what most tests of the control plane serve: one listener, one table,
// two clusters. The two %s are the routes and what more there is.
const shop = `
resources:
-   $Listener` + intercepted + `
    filter_chains:
    - name: http
      filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: in
          rds: {route_config_name: shop, config_source: {ads: {}, resource_api_version: V3}}
          http_filters: [$router]
- $Routes
  name: shop
  virtual_hosts:
  - name: shop
    domains: ["*"]
    routes: [%s]
- {$Cluster, name: v1, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}
- {$Cluster, name: v2, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}, resource_api_version: V3}}}
- {$Endpoints, cluster_name: v1, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8081}}}}]}]}
- {$Endpoints, cluster_name: v2, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 10.91.2.2, port_value: 8082}}}}]}]}
%s
`

// weighted is a route that splits.
func weighted(v1, v2 int) string {
	return fmt.Sprintf("{match: {prefix: /}, route: {timeout: 5s, weighted_clusters: {clusters: [{name: v1, weight: %d}, {name: v2, weight: %d}]}}}", v1, v2)
}

// A control is the control plane, on the gateway's loopback, where dynamic
// looks for it.
type control struct {
	w       *world
	s       *server.Server
	answers chan server.Answer
	halt    func()
}

// newControl serves resources; "" serves none.
func (w *world) newControl(text string) *control {
	w.t.Helper()
	c := &control{w: w}
	w.t.Cleanup(c.stop)
	c.start(text)
	return c
}

// start makes a new control plane, as a restart does.
func (c *control) start(text string) {
	c.w.t.Helper()
	fatal := func(err error) {
		if err != nil {
			c.w.t.Helper()
			c.w.t.Fatal(err)
		}
	}
	answers := make(chan server.Answer, 256)
	s, err := server.New("", server.Options{OnAnswer: func(a server.Answer) {
		select {
		case answers <- a:
		default: // nobody waits for it
		}
	}})
	fatal(err)
	c.s, c.answers = s, answers
	if text != "" {
		fatal(c.set(text))
	}
	ln, err := c.w.top.Gateway.Listen(context.Background(), &net.ListenConfig{}, "tcp", "127.0.0.1:18000")
	fatal(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Serve(ctx, ln)
	}()
	c.halt = sync.OnceFunc(func() { cancel(); <-done })
}

// stop ends it, with its streams.
func (c *control) stop() {
	if c.halt != nil {
		c.halt()
	}
}

// set serves resources from now on.
func (c *control) set(text string) error {
	rs, err := yamlproto.UnmarshalResources([]byte(c.w.expand(text)), yamlproto.Options{File: "resources.yaml"})
	if err != nil {
		return err
	}
	ms := make([]proto.Message, len(rs))
	for i, r := range rs {
		if ms[i], err = r.Any.UnmarshalNew(); err != nil {
			return err
		}
	}
	return c.s.SetResources(ms...)
}

// push serves resources and waits until Weir has answered for a type.
func (c *control) push(typeURL, text string) error {
	for len(c.answers) > 0 {
		<-c.answers
	}
	if err := c.set(text); err != nil {
		return err
	}
	want := c.s.Version(typeURL)
	t := time.NewTimer(patience)
	defer t.Stop()
	for {
		select {
		case a := <-c.answers:
			switch {
			case a.TypeURL != typeURL || a.Version != want:
			case a.Err != "":
				return errors.New(a.Err)
			default:
				return nil
			}
		case <-t.C:
			return errors.New("no answer to the push")
		}
	}
}

// mustPush is push where it may not be refused.
func (c *control) mustPush(typeURL, text string) {
	c.w.t.Helper()
	if err := c.push(typeURL, text); err != nil {
		c.w.t.Fatal(err)
	}
}
