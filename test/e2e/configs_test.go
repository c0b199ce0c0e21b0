package e2e

// intercepted is a listener that takes what interception brings, in both
// families, and keeps the client's address. Its filter chains follow.
const intercepted = `
    name: intercepted
    stat_prefix: intercepted
    transparent: true
    address: {socket_address: {address: 0.0.0.0, port_value: 15001}}
    additional_addresses: [{address: {socket_address: {address: "::", port_value: 15001}}}]
    listener_filters_timeout: 0.3s
    continue_on_listener_filters_timeout: true
    listener_filters: [$original_dst, $original_src, $tls_inspector, $http_inspector]
`

// passthrough is a bootstrap that looks into HTTP and lets everything else
// through, to where it was going.
const passthrough = `
static_resources:
  listeners:
  -` + intercepted + `
    filter_chains:
    - name: http
      filter_chain_match: {application_protocols: [http/1.0, http/1.1]}
      filters:
      - name: hcm
        typed_config:
          $hcm
          stat_prefix: in
          server_header_transformation: PASS_THROUGH
          http_protocol_options: {accept_http_10: true}
          http_filters: [$router]
          route_config: {virtual_hosts: [{name: all, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: there, timeout: 0s}}]}]}
    default_filter_chain:
      name: tcp
      filters:
      - {name: tcp, typed_config: {$tcp_proxy, stat_prefix: opaque, cluster: there}}
  clusters:
  - {name: there, type: ORIGINAL_DST, lb_policy: CLUSTER_PROVIDED, connect_timeout: 2s}
`
