package goldens

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// around are the two listeners that a filter is put into: before a router, and before a proxy.
const (
	aroundHTTP = `
name: golden
address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: golden
      route_config: {name: golden}
      http_filters:
      - %s
      - name: router
        typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
`
	aroundTCP = `
name: golden
address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
filter_chains:
- filters:
  - %s
  - name: tcp
    typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: golden, cluster: golden}
`
)

// filters makes a listener of a document that is one filter, and gives nil for any other. Whether it is one of HTTP or of the
// network is told by its type.
func filters(n *yaml.Node) *yaml.Node {
	config := field(n, "typedConfig")
	if config == nil {
		config = field(n, "typed_config")
	}
	if config == nil || field(n, "name") == nil || len(n.Content) > 4 {
		return nil
	}
	t := field(config, "@type")
	if t == nil {
		return nil
	}
	around := aroundTCP
	if strings.Contains(t.Value, ".http.") {
		around = aroundHTTP
	}
	n.Style = 0
	body, err := yaml.Marshal(n)
	if err != nil {
		return nil
	}
	indent := strings.Repeat(" ", strings.Index(around[strings.LastIndex(around[:strings.Index(around, "%s")], "\n")+1:], "%s"))
	nodes, ok := parse(fmt.Appendf(nil, around, strings.ReplaceAll(strings.TrimSpace(string(body)), "\n", "\n"+indent)))
	if !ok {
		return nil
	}
	return nodes[0]
}
