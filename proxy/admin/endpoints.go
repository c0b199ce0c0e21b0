package admin

import (
	"net/http"
	"net/url"
	"strings"
)

// An endpoint is one path of the interface.
type endpoint struct {
	path   string
	posts  bool // it changes something
	help   string
	params []param
	run    func(*Server, *reply, *http.Request, url.Values)
}

// A param is a query parameter of an endpoint, for /help. Those that are not
// listed are ignored, as Envoy does.
type param struct{ name, help string }

const post = true

// endpoints is the table of everything there is, in the order of /help.
func endpoints() []endpoint {
	format := param{"format", "File format to use; One of (text, json)"}
	filter := []param{
		{"usedonly", "Only include stats that have been written by system since restart"},
		{"filter", "Regular expression (Go regexp, the syntax of re2) for filtering stats"},
		{"invert_filter", "Invert the filter regex"},
	}
	return []endpoint{
		{"/", !post, "Admin home page", nil, (*Server).home},
		{"/certs", !post, "print certs on machine", nil, (*Server).certs},
		{"/clusters", !post, "upstream cluster status", []param{
			{"filter", "Regular expression for filtering clusters by name"}, format,
		}, (*Server).clusters},
		{"/config_dump", !post, "dump current configs, without secrets", []param{
			{"resource", "The resource to dump: a repeated field, such as dynamic_listeners"},
			{"mask", "The fields to keep, as a FieldMask. With resource it is applied to every element"},
			{"name_regex", "Dump only the configurations whose names match the regular expression"},
			{"include_eds", "Dump the endpoints of every cluster too"},
		}, (*Server).configDump},
		{"/csds", !post, "the client status discovery service in JSON: every resource, its state and why its last version is not used", []param{
			{"exclude_resource_contents", "Leave the resources themselves out"},
		}, (*Server).csds},
		{pprofPath, !post, "profiles of the Go runtime, for go tool pprof", []param{
			{"seconds", "How long profile and trace record"},
		}, (*Server).pprof},
		{"/drain_listeners", post, "drain listeners", []param{
			{"graceful", "Let connections end within the drain time before listeners are closed"},
			{"skip_exit", "Drain the connections but do not stop the listeners"},
			{"inboundonly", "Drain only listeners with traffic_direction INBOUND"},
		}, (*Server).drain},
		{"/explain", !post, "where a connection and a request would go, and why", []param{
			{"q", "The question, in JSON"}, format,
		}, (*Server).explain},
		{"/dry_run", post, "what a configuration would change: the body is a DiscoveryResponse, see weir validate --against", []param{
			{"static", "The resources are those of a bootstrap"},
		}, (*Server).dryRun},
		{"/healthcheck/fail", post, "cause the server to fail health checks", nil, (*Server).fail},
		{"/healthcheck/ok", post, "cause the server to pass health checks", nil, (*Server).recover},
		{"/help", !post, "print out list of admin commands", nil, (*Server).help},
		{"/hot_restart_version", !post, "print the hot restart compatibility version", nil, (*Server).hotRestart},
		{"/init_dump", !post, "dump what is waited for before it serves", nil, (*Server).initDump},
		{"/listeners", !post, "print listener info", []param{format}, (*Server).listeners},
		{"/logging", post, "query/change logging levels", []param{
			{"paths", "Change the level of loggers, set to <name>:<level>; there is one, " + logger},
			{"level", "desired logging level; One of (, trace, debug, info, warning, error, critical, off)"},
		}, (*Server).logging},
		{"/memory", !post, "print current allocation/heap usage", nil, (*Server).memory},
		{"/quitquitquit", post, "exit the server", nil, (*Server).quit},
		{"/ready", !post, "print server state, return 200 if LIVE, otherwise return 503", []param{
			{"verbose", "Say too when the last known good configuration serves"},
		}, (*Server).ready},
		{"/recent", !post, "a sample of the latest requests, and where they go now, as JSON", nil, (*Server).recent},
		{"/reopen_logs", post, "reopen access logs", nil, (*Server).reopenLogs},
		{"/reset_counters", post, "reset all counters to zero", nil, (*Server).resetCounters},
		{"/runtime", !post, "print runtime values", nil, (*Server).runtime},
		{"/runtime_modify", post, "change runtime values, of the admin layer", nil, (*Server).runtimeModify},
		{"/server_info", !post, "print server version/status information", nil, (*Server).serverInfo},
		{"/stats", !post, "print server stats", append(filter[:len(filter):len(filter)],
			param{"format", "Format to use; One of (text, json, prometheus)"},
			param{"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges)"},
			param{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, summary)"},
		), (*Server).stats},
		{"/stats/prometheus", !post, "print server stats in prometheus format", append(filter[:len(filter):len(filter)],
			param{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"},
		), (*Server).prometheus},
		{"/v3/discovery:client_status", !post, "as /csds, for clients of its API", nil, (*Server).csds},
		{"/xds", !post, "where the configuration comes from, what was refused and what is waited for", []param{format}, (*Server).xds},
	}
}

// find gives the endpoint of a path.
func (s *Server) find(path string) *endpoint {
	for i := range s.table {
		e := &s.table[i]
		if path == e.path || e.path == pprofPath && strings.HasPrefix(path, pprofPath) {
			return e
		}
	}
	return nil
}

// serve answers a request that may be answered.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	p := &reply{w}
	e := s.find(r.URL.Path)
	switch {
	case s.o.GRPC != nil && isGRPC(r):
		s.o.GRPC.ServeHTTP(w, r)
	case e == nil:
		p.text(http.StatusNotFound, "invalid path. "+s.commands())
	case e.posts && r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		p.text(http.StatusMethodNotAllowed, "Method "+r.Method+" not allowed, POST required.")
	default:
		e.run(s, p, r, r.URL.Query())
	}
}
