package parity

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// normals are values that differ between runs or machines.
var normals = []struct {
	re *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`(?i)^(<+   date: )\w{3}, .* GMT$`), "${1}DATE"},
	{regexp.MustCompile(`(?i)^(< +server: )(envoy|weir)$`), "${1}SERVER"},
	{regexp.MustCompile(`(?i)^(< +x-envoy-upstream-service-time: )\d+$`), "${1}MS"},
	{regexp.MustCompile(`(x-envoy-expected-rq-timeout-ms: )14[5-9]\d\d$`), "${1}15000"}, // less what tries before took
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(`\bc\d+-(\w)`), "$1"}, // the prefix of a case's clusters
}

// normal takes out of a line what says nothing.
func (p *play) normal(l string) string {
	for _, n := range normals {
		l = n.re.ReplaceAllString(l, n.to)
	}
	l = strings.ReplaceAll(l, fmt.Sprintf("127.0.0.1:%d", p.port), "127.0.0.1:LISTENER")
	for name, o := range p.origins {
		l = strings.ReplaceAll(l, fmt.Sprintf("127.0.0.1:%d", o.port), "127.0.0.1:"+strings.ToUpper(name))
	}
	for _, a := range nodeAddresses() {
		l = strings.ReplaceAll(l, a, "NODE")
	}
	return l
}

// nodeAddresses are this machine's, without loopback: Envoy writes one of them
// for a peer on loopback.
func nodeAddresses() []string {
	all, _ := net.InterfaceAddrs()
	var out []string
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			out = append(out, n.IP.String())
		}
	}
	return out
}
