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

// endpoints is the table of everything there is, in the order of /help, which is
// Envoy's. Help is in Envoy's words where the endpoint is Envoy's.
func endpoints() []endpoint {
	format := param{"format", "File format to use; One of (text, json)"}
	enable := func(what string) []param { return []param{{"enable", what + "; One of (y, n)"}} }
	filter := param{"filter", "Regular expression (Google re2) for filtering stats"}
	invert := param{"invert_filter", "Invert the filter regex"}
	used := param{"usedonly", "Only include stats that have been written by system since restart"}
	return []endpoint{
		{"/", !post, "Admin home page", nil, (*Server).home},
		{
			"/allocprofiler", post, "enable/disable the allocation profiler (if supported)",
			enable("enable/disable the allocation profiler"), (*Server).allocProfiler,
		},
		{"/certs", !post, "print certs on machine", nil, (*Server).certs},
		{"/clusters", !post, "upstream cluster status", []param{
			{"filter", "Regular expression (Google re2) for filtering clusters by name"},
		}, (*Server).clusters},
		{"/config_dump", !post, "dump current Envoy configs", []param{
			{"resource", "The resource to dump"},
			{"mask", "The mask to apply. When both resource and mask are specified, the mask is applied to every element in the desired " +
				"repeated field so that only a subset of fields are returned. The mask is parsed as a Protobuf::FieldMask"},
			{"name_regex", "Dump only the currently loaded configurations whose names match the specified regex. Can be used with both " +
				"resource and mask query parameters."},
			{"include_eds", "Dump currently loaded configuration including EDS. See the response definition for more information"},
		}, (*Server).configDump},
		{"/contention", !post, "dump current Envoy mutex contention stats (if enabled)", nil, (*Server).contention},
		{"/cpuprofiler", post, "enable/disable the CPU profiler", enable("enables the CPU profiler"), (*Server).cpuProfiler},
		{"/csds", !post, "the client status discovery service in JSON: every resource, its state and why its last version is not used", []param{
			{"exclude_resource_contents", "Leave the resources themselves out"},
		}, (*Server).csds},
		{pprofPath, !post, "profiles of the Go runtime, for go tool pprof", []param{
			{"seconds", "How long profile and trace record"},
		}, (*Server).pprof},
		{"/doctor", !post, "what is wrong with this machine, and how it is mended: see weir doctor", []param{
			format, {"facts", "What to tell instead; One of (live)"},
		}, (*Server).doctor},
		{"/drain_listeners", post, "drain listeners", []param{
			{"graceful", "When draining listeners, enter a graceful drain period prior to closing listeners. This behaviour and duration " +
				"is configurable via server options or CLI"},
			{"skip_exit", "When draining listeners, drain the connections but never stop the listeners. The graceful parameter has no " +
				"effect when this is set, since the drain period only delays stopping the listeners"},
			{"inboundonly", "Drains all inbound listeners. traffic_direction field in envoy_v3_api_msg_config.listener.v3.Listener is " +
				"used to determine whether a listener is inbound or outbound."},
		}, (*Server).drain},
		{"/explain", !post, "where a connection and a request would go, and why", []param{
			{"q", "The question, in JSON"},
			{"flow", "Instead: the id of a flow, or a request id"},
			format,
		}, (*Server).explain},
		{"/dry_run", post, "what a configuration would change: the body is a DiscoveryResponse, see weir validate --against", []param{
			{"static", "The resources are those of a bootstrap"},
		}, (*Server).dryRun},
		{"/flows", !post, "connections and requests that pass through, or passed a moment ago", []param{
			{"follow", "Send them as they end, as server-sent events"},
			{"live, ended, failed", "Only those that go on, that ended, that went wrong"},
			{"id", "A flow, a connection with its requests, or a request id"},
			{"client, dest, host", "An address, a net, a port, or address:port"},
			{"sni, authority, method, path, listener, chain, route, cluster", "A name; * is anything"},
			{"code", "A response code: 503, 5xx or 500-504"},
			{"flags", "Any of these response flags: UF,URX"},
			{"kind", "One of (request, connection)"},
			{"slow", "Milliseconds that they took at least"},
			{"limit", "How many at most"},
			{"reveal", "Show the values in queries, which are kept with --flows full only"},
		}, (*Server).flows},
		{"/flows/kill", post, "end a live flow", []param{{"id", "That of a connection, or of a request"}}, (*Server).killFlow},
		{"/healthcheck/fail", post, "cause the server to fail health checks", nil, (*Server).fail},
		{"/healthcheck/ok", post, "cause the server to pass health checks", nil, (*Server).recover},
		{"/heap_dump", !post, "dump current Envoy heap (if supported)", nil, (*Server).heapDump},
		{"/heapprofiler", post, "enable/disable the heap profiler", enable("enable/disable the heap profiler"), (*Server).heapProfiler},
		{"/help", !post, "print out list of admin commands", nil, (*Server).help},
		{"/hot_restart_version", !post, "print the hot restart compatibility version", nil, (*Server).hotRestart},
		{"/init_dump", !post, "dump current Envoy init manager information (experimental)", []param{
			{"mask", "The desired component to dump unready targets. The mask is parsed as a Protobuf::FieldMask. For example, get the " +
				"unready targets of all listeners with /init_dump?mask=listener`"},
		}, (*Server).initDump},
		{"/live", !post, "a page that shows flows, listeners, clusters and warnings as they are", nil, (*Server).live},
		{"/listeners", !post, "print listener info", []param{format}, (*Server).listeners},
		{"/logging", post, "query/change logging levels", []param{
			{"paths", "Change multiple logging levels by setting to <logger_name1>:<desired_level1>,<logger_name2>:<desired_level2>. If " +
				"fine grain logging is enabled, use __FILE__ or a glob experision as the logger name. For example, source/common*:warning"},
			{"group", "Change given logger group to desired level, set to <logger_group_name>:<desired_level>. logger_group_name must be " +
				"a logger name."},
			{"level", "desired logging level, this will change all loggers's level; One of (, trace, debug, info, warning, error, critical, off)"},
		}, (*Server).logging},
		{"/memory", !post, "print current allocation/heap usage", nil, (*Server).memory},
		{"/memory/tcmalloc", !post, "print TCMalloc stats", nil, (*Server).tcmalloc},
		{"/peak_heap_dump", !post, "dump peak Envoy heap (if supported)", nil, (*Server).peakHeapDump},
		{"/quitquitquit", post, "exit the server", nil, (*Server).quit},
		{"/ready", !post, "print server state, return 200 if LIVE, otherwise return 503", []param{
			{"verbose", "Say too when the last known good configuration serves"},
		}, (*Server).ready},
		{"/recent", !post, "a sample of the latest requests, and where they go now, as JSON", nil, (*Server).recent},
		{"/reopen_logs", post, "reopen access logs", nil, (*Server).reopenLogs},
		{"/reset_counters", post, "reset all counters to zero", nil, (*Server).resetCounters},
		{"/runtime", !post, "print runtime values", nil, (*Server).runtime},
		{"/runtime_modify", post, "Adds or modifies runtime values as passed in query parameters. To delete a previously added key, use an " +
			"empty string as the value. Note that deletion only applies to overrides added via this endpoint; values loaded from disk can " +
			"be modified via override but not deleted. E.g. ?key1=value1&key2=value2...", nil, (*Server).runtimeModify},
		{"/server_first", !post, "the servers that are known to speak before their clients, as JSON", nil, (*Server).serverFirst},
		{"/server_first/forget", post, "forget servers that are known to speak before their clients", []param{
			{"address", "The one to forget, as 192.0.2.1:25; all of them when it is left out"},
		}, (*Server).serverFirstForget},
		{"/server_info", !post, "print server version/status information", nil, (*Server).serverInfo},
		{"/stats", !post, "print server stats", []param{
			used, filter, invert,
			{"format", "Format to use; One of (html, active-html, text, json)"},
			{"type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"},
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"},
		}, (*Server).stats},
		{"/stats/prometheus", !post, "print server stats in prometheus format", []param{
			used,
			{"text_readouts", "Render text_readouts as new gaugues with value 0 (increases Prometheus data size)"},
			filter, invert,
			{"histogram_buckets", "Histogram bucket display mode; One of (cumulative, summary)"},
		}, (*Server).prometheus},
		{"/stats/recentlookups", !post, "Show recent stat-name lookups", nil, (*Server).lookups},
		{"/stats/recentlookups/clear", post, "clear list of stat-name lookups and counter", nil, (*Server).lookupsClear},
		{"/stats/recentlookups/disable", post, "disable recording of reset stat-name lookup names", nil, (*Server).lookupsDisable},
		{"/stats/recentlookups/enable", post, "enable recording of reset stat-name lookup names", nil, (*Server).lookupsEnable},
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
	case s.o.Allowed != nil && !s.o.Allowed(r.URL.RequestURI()):
		p.text(http.StatusForbidden, "request to path "+r.URL.RequestURI()+" not allowed\n")
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
