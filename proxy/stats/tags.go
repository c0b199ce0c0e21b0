package stats

import (
	"slices"
	"strings"
)

// tagRules are Envoy's default tag extraction rules for what we emit, in the
// order in which the labels are printed. A pattern is matched against the
// parts of a name: `$` takes the part as the label's value and removes it,
// `*` is any one part, `**` is one or more. (Envoy: config/well_known_names.)
//
// Envoy matches expressions against the dotted name and so cuts a cluster
// called `a.b` at its dot. We know the scopes the name was made of, and keep
// such a name whole.
var tagRules = [...]struct {
	label   string
	pattern string
}{
	{"envoy.http_user_agent", "http.*.user_agent.$.**"},
	{"envoy.virtual_cluster", "vhost.*.vcluster.$.**"},
	{"envoy.fault_downstream_cluster", "http.*.fault.$.**"},
	{"envoy.ssl_cipher", "listener.*.ssl.cipher.$"},
	{"envoy.tls_certificate", "listener.*.ssl.certificate.$.**"},
	{"envoy.tls_certificate", "cluster.*.ssl.certificate.$.**"},
	{"envoy.xds_resource_name", "sds.$.**"},
	{"cipher_suite", "cluster.*.ssl.ciphers.$"},
	{"envoy.tcp_prefix", "tcp.$.**"},
	{"envoy.udp_prefix", "udp.$.**"},
	{"envoy.ratelimit_prefix", "ratelimit.$.**"},
	{"envoy.connection_limit_prefix", "connection_limit.$.**"},
	{"envoy.local_network_ratelimit_prefix", "local_rate_limit.$.**"},
	{"envoy.local_http_ratelimit_prefix", "$.http_local_rate_limit.**"},
	{"envoy.proxy_protocol_prefix", "proxy_proto.$.**"},
	{"envoy.rbac_prefix", "$.rbac.**"},
	{"envoy.rbac_policy_name", "http.*.rbac." + policyScope + ".$.**"},
	{"envoy.rbac_policy_name", "http.*.rbac.*." + policyScope + ".$.**"},
	{rbacPrefix, "http.*.rbac.$.**"},
	{"envoy.grpc_bridge_service", "cluster.*.grpc.$.*.*"},
	{"envoy.grpc_bridge_method", "cluster.*.grpc.*.$.*"},
	{"envoy.cluster_name", "cluster.$.**"},
	{"envoy.http_conn_manager_prefix", "listener.*.http.$.**"},
	{"envoy.http_conn_manager_prefix", "http.$.**"},
	{"envoy.listener_address", "listener.$.**"},
	{"envoy.virtual_host", "vhost.$.**"},
	{"envoy.route", "vhost.*.route.$.**"},
	{"envoy.rds_route_config", "http.*.rds.$.**"},
}

// The policies of an RBAC filter stand beside its prefix, which may be missing.
const (
	rbacPrefix  = "envoy.rbac_http_prefix"
	policyScope = "policy"
)

// named reports whether a name from configuration follows these parts, so that
// `cluster.a.b` passed as one scope name is read as cluster and `a.b`.
func named(parts []string) bool {
	for _, r := range tagRules {
		pattern, open := strings.CutSuffix(r.pattern, ".$.**")
		if open && matchAll(pattern, parts) {
			return true
		}
	}
	return false
}

// matchAll reports whether a pattern of words and `*` matches just these parts.
func matchAll(pattern string, parts []string) bool {
	for i, part := range parts {
		want, more, dotted := strings.Cut(pattern, ".")
		if want != "*" && want != part || dotted == (i == len(parts)-1) {
			return false
		}
		pattern = more
	}
	return len(parts) > 0
}

// appendScope appends the parts of one scope name to those of its parents.
func appendScope(parts []string, name string) []string {
	if named(parts) {
		return append(parts, name) // a configured name: one part, dots and all
	}
	head, rest, dotted := strings.Cut(name, ".")
	if !dotted {
		return append(parts, name)
	}
	return appendScope(append(parts, head), rest)
}

// adminListener is the one listener whose name Envoy does not make a label.
const adminListener = "admin"

// extractTags splits the parts of a full name into what stays and labels.
func extractTags(parts []string) (rest []string, labels []label) {
	parts = slices.Clone(parts)
	drop := make([]bool, len(parts))
	last := len(parts) - 1
	if base, code, ok := cutCode(parts[last]); ok {
		parts[last] = base
		labels = append(labels, code)
	}
	for i, p := range parts[1:] {
		if id, ok := strings.CutPrefix(p, "worker_"); ok && number(id) {
			parts[i+1] = "worker"
			labels = append(labels, label{name: "envoy.worker_id", value: id})
		}
	}
	parts, version := cutProxyVersion(parts)
	ordinal := func(at int) (n int) { // of the configured name at a place
		for _, p := range parts[:at+1] {
			if p == configured {
				n++
			}
		}
		return n
	}
	for _, r := range tagRules {
		at := matchTag(r.pattern, parts)
		switch {
		case at < 0, drop[at], parts[0] == "listener" && at == 1 && parts[1] == adminListener, r.label == rbacPrefix && parts[at] == policyScope:
			continue
		case parts[at] == configured:
			labels = append(labels, label{name: r.label, from: ordinal(at)})
		default:
			labels = append(labels, label{name: r.label, value: parts[at]})
		}
		drop[at] = true
	}
	if version != "" {
		labels = append(labels, label{name: "envoy.proxy_protocol_version", value: version})
	}
	for i, p := range parts {
		if !drop[i] && p != "" {
			rest = append(rest, p)
		}
	}
	return rest, labels
}

// cutProxyVersion takes the version out of
// `proxy_proto.[<stat_prefix>.]versions.v1.<base_stat>`.
func cutProxyVersion(parts []string) (rest []string, version string) {
	if parts[0] != "proxy_proto" {
		return parts, ""
	}
	for i := 1; i+2 < len(parts); i++ {
		if v, ok := strings.CutPrefix(parts[i+1], "v"); ok && parts[i] == "versions" && number(v) {
			return slices.Delete(parts, i, i+2), v
		}
	}
	return parts, ""
}

func number(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// matchTag returns the place of the part the pattern captures, or -1.
func matchTag(pattern string, parts []string) int {
	at := -1
	for i := 0; ; i++ {
		want, more, dotted := strings.Cut(pattern, ".")
		if i == len(parts) {
			return -1
		}
		switch {
		case want == "**":
			return at
		case want == "$":
			at = i
		case want != "*" && want != parts[i]:
			return -1
		}
		if !dotted {
			if i == len(parts)-1 {
				return at
			}
			return -1
		}
		pattern = more
	}
}

// cutCode takes the response code or class off `…_rq_200` and `…_rq_2xx`.
func cutCode(s string) (base string, l label, ok bool) {
	i := strings.LastIndex(s, "rq_")
	if i < 0 || i > 0 && s[i-1] != '_' || len(s) != i+len("rq_")+3 {
		return s, l, false
	}
	tail := s[i+len("rq_"):]
	switch digit := func(b byte) bool { return b >= '0' && b <= '9' }; {
	case !digit(tail[0]):
		return s, l, false
	case digit(tail[1]) && digit(tail[2]):
		return s[:i+len("rq")], label{name: "envoy.response_code", value: tail}, true
	case tail[1:] == "xx":
		return s[:i+len("rq_")] + "xx", label{name: "envoy.response_code_class", value: tail[:1]}, true
	default:
		return s, l, false
	}
}
