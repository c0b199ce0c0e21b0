package accesslog_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/test/rig"
)

// lines hands over what is logged.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	l <- string(p)
	return len(p), nil
}

// file is an access log of connections.
func file(path, filter string) string {
	if filter != "" {
		filter = ", filter: " + filter
	}
	return `{name: log` + filter + `, typed_config: {$file_log, path: ` + path + `, log_format: {text_format_source: {inline_string: "` + path + ` %RESPONSE_FLAGS%"}}}}`
}

// proxied has the listener's logs and those of tcp_proxy, which goes to cluster.
func proxied(cluster, listener, proxy string) string {
	return `
listeners:
- name: in
  address: {$loopback}
  access_log: [` + listener + `]
  filter_chains:
  - filters:
    - name: tcp
      typed_config: {$tcp_proxy, stat_prefix: t, cluster: ` + cluster + `, access_log: [` + proxy + `]}
`
}

// TestFiltersOfConnections: the same filters decide about the logs of listeners and
// of tcp_proxy as about those of requests. "end" is what is always logged, last.
func TestFiltersOfConnections(t *testing.T) {
	for _, c := range []struct {
		name, filter string
		good, failed bool // whether a connection that goes well, or that finds no upstream, is logged
	}{
		{"none", "", true, true},
		{"a flag", "{response_flag_filter: {flags: [UF]}}", false, true},
		{"another flag", "{response_flag_filter: {flags: [UO]}}", false, false},
		{"any flag", "{response_flag_filter: {}}", false, true},
		{"there is no status", "{status_code_filter: {comparison: {op: EQ, value: {default_value: 0, runtime_key: k}}}}", true, true},
		{"an error status", "{status_code_filter: {comparison: {op: GE, value: {default_value: 400, runtime_key: k}}}}", false, false},
		{"short", "{duration_filter: {comparison: {op: LE, value: {default_value: 60000, runtime_key: k}}}}", true, true},
		{"long", "{duration_filter: {comparison: {op: GE, value: {default_value: 60000, runtime_key: k}}}}", false, false},
		{"a field of nothing", "{header_filter: {header: {name: a, present_match: true}}}", false, false},
		{"no health check", "{not_health_check_filter: {}}", true, true},
		{"nothing of a share", "{runtime_filter: {runtime_key: k}}", false, false},
		{"all of a share", "{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 100}}}", true, true},
		{"both", "{and_filter: {filters: [{not_health_check_filter: {}}, {response_flag_filter: {flags: [UF]}}]}}", false, true},
		{"either", "{or_filter: {filters: [{not_health_check_filter: {}}, {response_flag_filter: {flags: [UF]}}]}}", true, true},
	} {
		for cluster, wanted := range map[string]bool{"good": c.good, "failed": c.failed} {
			t.Run(c.name+", "+cluster, func(t *testing.T) {
				log := make(lines, 10)
				echo := rig.TCPOrigin(t, func(c *net.TCPConn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) })
				r := rig.New(t, rig.Options{
					Origins: map[string]string{"good": echo, "failed": rig.DeadAddr(t)},
					Config:  proxied(cluster, file("listener", c.filter)+", "+file("end", ""), file("proxy", c.filter)),
					Loggers: func(string) (filters.Sink, error) { return log, nil },
				})
				if conn, err := net.Dial("tcp", r.Addr); err == nil { // the failure is a reset, maybe at once
					_ = conn.(*net.TCPConn).CloseWrite()
					_, _ = io.Copy(io.Discard, conn)
					conn.Close()
				}
				var got []string
				for {
					l := <-log
					name, _, _ := strings.Cut(l, " ")
					if name == "end" {
						break
					}
					got = append(got, name)
				}
				want := ""
				if wanted {
					want = "proxy listener"
				}
				if g := strings.Join(got, " "); g != want {
					t.Errorf("logged %q, want %q", g, want)
				}
			})
		}
	}
}

func TestMistakesInFiltersOfConnections(t *testing.T) {
	const wrong = "{response_flag_filter: {flags: [UF, XX]}}"
	for _, c := range []struct{ listener, proxy, want string }{
		{file("a", "") + ", " + file("b", wrong), "", "access_log[1].filter.response_flag_filter.flags[1]"},
		{"", file("b", wrong), "filter_chains[0].filters[0].typed_config.access_log[0].filter.response_flag_filter.flags[1]"},
		{file("a", "{and_filter: {filters: [{not_health_check_filter: {}}]}}"), "", "access_log[0].filter.and_filter.filters"},
		{file("a", "{}"), "", "access_log[0].filter"},
		{"", file("a", "{traceable_filter: {}}"), "access_log[0].filter.traceable_filter"},
	} {
		err := rig.Check(rig.Options{Config: proxied("good", c.listener, c.proxy)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.listener, c.proxy, err, c.want)
		}
	}
}
