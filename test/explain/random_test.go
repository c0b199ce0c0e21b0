package explain

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/proxy/explain"
)

// chooser makes configurations and questions out of few words, so that they meet.
type chooser struct{ r *rand.Rand }

func (c *chooser) one(of ...string) string { return of[c.r.IntN(len(of))] }

func (c *chooser) chance(percent int) bool { return c.r.IntN(100) < percent }

func (c *chooser) some(n int, of ...string) []string {
	c.r.Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	return of[:min(n, len(of))]
}

// config makes a listener with chains that differ in where connections come from and go to, each with routes of its own.
func (c *chooser) config() string {
	var b strings.Builder
	b.WriteString("listeners:\n- name: l\n  address: {socket_address: {address: 0.0.0.0, port_value: 0}}\n  listener_filters: [$http_inspector]\n")
	var chains []string
	used := map[string]bool{}
	for i := range 1 + c.r.IntN(4) {
		m := c.match()
		if used[m] {
			continue
		}
		used[m] = true
		chains = append(chains, fmt.Sprintf("  - name: f%d\n    filter_chain_match: {%s}\n    filters:\n%s", i, m, c.hcm()))
	}
	b.WriteString("  filter_chains:\n" + strings.Join(chains, ""))
	if c.chance(30) {
		b.WriteString("  default_filter_chain:\n    name: fallback\n    filters:\n" + c.hcm())
	}
	return b.String()
}

func (c *chooser) match() string {
	var m []string
	if c.chance(50) {
		m = append(m, fmt.Sprintf("prefix_ranges: [{address_prefix: 127.0.0.0, prefix_len: %s}]", c.one("8", "30", "31")))
	}
	if c.chance(50) {
		m = append(m, fmt.Sprintf("source_prefix_ranges: [{address_prefix: 127.0.0.%s, prefix_len: %s}]", c.one("1", "2", "3"), c.one("8", "31", "32")))
	}
	if c.chance(20) {
		m = append(m, "source_type: "+c.one("SAME_IP_OR_LOOPBACK", "EXTERNAL"))
	}
	if c.chance(20) {
		m = append(m, fmt.Sprintf("application_protocols: [%q]", c.one("http/1.1", "h2c")))
	}
	return strings.Join(m, ", ")
}

// hcm is a connection manager with virtual hosts and routes.
func (c *chooser) hcm() string {
	var b strings.Builder
	fmt.Fprintf(&b, `    - name: hcm
      typed_config:
        $hcm
        stat_prefix: h
        normalize_path: %v
        merge_slashes: %v
        strip_any_host_port: %v
        http_filters: [$router]
        access_log: [{name: log, typed_config: {$file_log, path: log, log_format: {text_format_source: {inline_string: "%%REQ(X-TEST)%% %%RESPONSE_CODE%% %%FILTER_CHAIN_NAME%% %%ROUTE_NAME%% %%UPSTREAM_CLUSTER%%\n"}}}}]
        route_config:
          name: rc
          ignore_port_in_host_matching: %v
          virtual_hosts:
`, c.chance(50), c.chance(50), c.chance(30), c.chance(30))
	left := []string{"a.test", "b.test", "*.test", "a.*", "*"}
	for i := range 1 + c.r.IntN(3) {
		domains := c.some(1+c.r.IntN(2), left...)
		if len(left) < 2 {
			break
		}
		left = left[len(domains):]
		fmt.Fprintf(&b, "          - name: v%d\n            domains: [%s]\n            routes:\n", i, `"`+strings.Join(domains, `", "`)+`"`)
		for k := range 1 + c.r.IntN(6) {
			fmt.Fprintf(&b, "            - name: r%d-%d\n              match: {%s}\n              %s\n", i, k, c.criteria(), c.action())
		}
	}
	return b.String()
}

func (c *chooser) criteria() string {
	m := []string{c.one(`prefix: "/"`, `prefix: "/a"`, `path: "/a"`, `path: "/a/b"`, `path_separated_prefix: "/a"`, `safe_regex: {regex: "/[ab]/.*"}`)}
	if c.chance(30) {
		m = append(m, fmt.Sprintf(`headers: [{name: x-h, %s}]`, c.one(`string_match: {exact: "1"}`, `string_match: {prefix: "1"}`, `present_match: true`, `string_match: {exact: "1"}, invert_match: true`, `range_match: {start: 1, end: 12}`)))
	}
	if c.chance(15) {
		m = append(m, `query_parameters: [{name: q, string_match: {exact: "1"}}]`)
	}
	if c.chance(20) {
		m = append(m, fmt.Sprintf(`runtime_fraction: {default_value: {numerator: %d}}`, c.r.IntN(101)))
	}
	if c.chance(10) {
		m = append(m, "case_sensitive: false")
	}
	return strings.Join(m, ", ")
}

func (c *chooser) action() string {
	switch {
	case c.chance(10):
		return "direct_response: {status: 403}"
	case c.chance(10):
		return "redirect: {host_redirect: c.test}"
	case c.chance(40):
		var w []string
		for i := range 2 + c.r.IntN(2) {
			w = append(w, fmt.Sprintf("{name: c%d, weight: %d}", i, 1+c.r.IntN(50)))
		}
		extra := ""
		if c.chance(20) {
			extra = ", header_name: x-h"
		}
		return fmt.Sprintf("route: {weighted_clusters: {clusters: [%s]%s}}", strings.Join(w, ", "), extra)
	case c.chance(10):
		return "route: {cluster_header: x-cluster}"
	case c.chance(10):
		return "route: {cluster: gone}"
	}
	return "route: {cluster: " + c.one("c0", "c1", "c2") + "}"
}

// question is a request that a chain may or may not take.
func (c *chooser) question(port string) explain.Question {
	n, _ := strconv.Atoi(port)
	q := explain.Question{
		Listener:    "l",
		Source:      netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + c.r.IntN(4))}), 0),
		Destination: netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(1 + c.r.IntN(4))}), uint16(n)),
		Method:      c.one("GET", "POST"), Host: c.one("a.test", "b.test", "c.test", "a.other", "other", "A.test:80", "x.y.test"),
		Path: c.one("/", "/a", "/a/b", "/ab", "/A", "/b/c", "/a?q=1", "/a//b", "/x/../a", "/a/./b?q=1"),
		Headers: []explain.Field{
			{Name: "x-request-id", Value: strconv.FormatUint(c.r.Uint64(), 16)},
			{Name: "x-h", Value: c.one("1", "11", "12", "x")},
		},
	}
	if c.chance(30) {
		q.Headers = q.Headers[:1]
	}
	if c.chance(50) {
		q.Headers = append(q.Headers, explain.Field{Name: "x-cluster", Value: c.one("c0", "c1", "nobody")})
	}
	return q
}
