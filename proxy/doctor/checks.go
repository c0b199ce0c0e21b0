package doctor

// A Check is one row of the table of what a doctor looks at.
type Check struct {
	// Code is stable and never used again for something else. WD1xx are of the
	// kernel and the process, WD2xx of settings and interfaces, WD3xx of the way
	// through the firewall to the listener, WD4xx of what runs out, WD5xx of what is
	// around, WD6xx of the configuration.
	Code string
	// Name is the code for people.
	Name string
	// Level of its findings, unless one says otherwise.
	Level Level
	// Looks are the parts of the facts that it cannot do without.
	Looks []string
	// Needs are the codes of checks whose findings explain this one's.
	Needs []string
	// Sees says what it looks at.
	Sees string
	// Why says why it matters.
	Why string
	// Fix says how it is mended, in general.
	Fix string

	run func(*Facts) []Finding
}

// Checks is the table, from the ground up: what explains comes before what it
// explains.
func Checks() []Check {
	return []Check{
		// The kernel and the process.
		{
			"WD101", "kernel-feature-missing", Problem,
			[]string{partKernel},
			nil,
			"every feature, tried in a network namespace of its own",
			"without it the rules cannot be made, or a family is not intercepted",
			"load the module, or boot a kernel with the option", kernelFeatures,
		},
		{
			"WD102", "capability-missing", Problem,
			[]string{partProcess, partRules},
			nil,
			"effective capabilities of the running process",
			"transparent sockets and packet marks take CAP_NET_ADMIN, ports below ip_unprivileged_port_start CAP_NET_BIND_SERVICE",
			"give it the capability in its unit file, restart it", capabilities,
		},
		{
			"WD103", "process-stopped", Problem,
			[]string{partProcess},
			nil,
			"state of the running process",
			"connections are still handed to its listener, and nobody answers them",
			"let it go on, or end it: then traffic passes by", processStopped,
		},
		{
			"WD104", "not-running", Problem,
			[]string{partRules},
			nil,
			"rules and admin interface, without a process",
			"nothing serves; with rules that fail open traffic passes by, with on_down drop it is cut off",
			"start Weir, or take the rules away", notRunning,
		},
		{
			"WD105", "version-differs", Note,
			[]string{partLive},
			nil,
			"version of the running process, and this program's",
			"what is installed is not what runs: an upgrade waits for a restart",
			"restart Weir", versionDiffers,
		},
		{
			"WD106", "files-exhausted", Problem,
			[]string{partProcess},
			nil,
			"open file descriptors against RLIMIT_NOFILE",
			"every connection takes one on either side; without them neither clients nor upstreams get through",
			"raise the limit", filesExhausted,
		},

		// Settings and interfaces.
		{
			"WD201", "loopback-down", Warning,
			[]string{partLinks, partRules},
			nil,
			"state of lo", "intercepted packets are delivered by way of lo: rules cannot be made or mended while it is down, and its routes may go with it",
			"set it up, then mend the routes", loopbackDown,
		},
		{
			"WD202", "interface-missing", Problem,
			[]string{partLinks, partRules},
			nil,
			"interfaces that the plan names", "nothing that should come in there is taken",
			"set it up, or correct the plan", interfaceMissing,
		},
		{
			"WD203", "forwarding-off", Warning,
			[]string{partSettings, partRules},
			nil,
			"net.ipv4.ip_forward, net.ipv6.conf.all.forwarding",
			"what is not intercepted (UDP, ICMP, excluded ports), and everything while Weir is down, goes nowhere",
			"turn it on", forwardingOff,
		},
		{
			"WD204", "reverse-path-drops", Problem,
			[]string{partSettings, partCounters, partLinks, partRules},
			nil,
			"rp_filter of every interface, and TcpExt.IPReversePathFilter",
			"with strict checks a packet is dropped, before any rule and unseen by any log, when its source is reached by another interface",
			"make the check loose where packets come in", reversePath,
		},
		{
			"WD205", "setting-changed", Problem,
			[]string{partRules},
			nil,
			"settings that the plan changes", "another program has set it back",
			"set it again, and find out who changes it", settingChanged,
		},
		{
			"WD206", "mtu-too-small", Problem,
			[]string{partLinks, partRules},
			nil,
			"MTU of interfaces, when the plan takes IPv6", "IPv6 needs 1280 bytes (RFC 8200 §5): the kernel takes it off the interface",
			"raise the MTU", mtuTooSmall,
		},
		{
			"WD207", "path-black-hole", Problem,
			[]string{partSockets},
			nil,
			"connections that repeat full segments without an answer",
			"large packets vanish on the path while small ones pass: handshakes work, transfers hang",
			"let TCP probe, or lower the MTU", blackHole,
		},
		{
			"WD208", "loopback-reachable", Note,
			[]string{partSettings, partLinks},
			nil,
			"route_localnet of every interface",
			"hosts on that link can reach what listens on 127.0.0.1; TPROXY does not need it",
			"turn it off", loopbackReachable,
		},

		// The way to the listener.
		{
			"WD301", "table-missing", Problem,
			[]string{partRules},
			[]string{"WD101"},
			"our nftables table", "nothing is intercepted", "apply the plan again", tableMissing,
		},
		{
			"WD302", "leftovers", Warning,
			[]string{partRules},
			[]string{"WD104"},
			"policy rules, routes and records without a table and without a process",
			"they concern no packet now, but stand for a Weir that died without an end",
			"take them away", leftovers,
		},
		{
			"WD303", "rules-changed", Problem,
			[]string{partRules},
			[]string{"WD301"},
			"chains, rules, their order, and sets, against the plan",
			"packets are treated otherwise than planned: some are missed, or taken that should not be",
			"apply the plan again", rulesChanged,
		},
		{
			"WD304", "route-missing", Problem,
			[]string{partRules},
			[]string{"WD201", "WD301"},
			"the route that delivers marked packets locally", "intercepted packets go out again instead of to the listener",
			"add it again", routeMissing,
		},
		{
			"WD305", "policy-rule-missing", Problem,
			[]string{partRules},
			[]string{"WD201", "WD301"},
			"the policy rules that choose that route", "intercepted packets go out again instead of to the listener",
			"add them again", policyMissing,
		},
		{
			"WD306", "policy-rule-shadowed", Problem,
			[]string{partPolicy, partRules},
			nil,
			"policy rules of others before ours", "they route intercepted packets away before our rule is asked",
			"give it a later priority", shadowed,
		},
		{
			"WD307", "dropped-before", Problem,
			[]string{partChains, partRules},
			nil,
			"what chains of others at prerouting, before ours, do with a first packet", "it does not come as far as our rules",
			"change that rule", droppedBefore,
		},
		{
			"WD308", "diverted-after", Problem,
			[]string{partChains, partRules},
			nil,
			"what chains of others at prerouting, after ours, do with an intercepted packet",
			"it is dropped, sent elsewhere, or loses the mark by which it is delivered",
			"let marked packets pass there", divertedAfter,
		},
		{
			"WD309", "dropped-at-input", Problem,
			[]string{partChains, partRules},
			nil,
			"what chains of others at input do with an intercepted packet",
			"an intercepted connection is delivered to this machine, under the port that the client asked for: firewalls that open only ports of this machine drop it",
			"let marked packets pass there", droppedAtInput,
		},
		{
			"WD310", "dropped-at-output", Problem,
			[]string{partChains, partRules, partLive},
			nil,
			"what chains of others at output and postrouting do with Weir's own connections", "no upstream can be reached",
			"let Weir's mark pass there", droppedAtOutput,
		},
		{
			"WD311", "not-forwarded", Warning,
			[]string{partChains, partRules},
			nil,
			"what chains of others at forward do with a packet that passes by",
			"what is not intercepted, and everything while Weir is down, is cut off (Docker sets this policy)",
			"accept what is to be forwarded", notForwarded,
		},
		{
			"WD312", "listener-not-bound", Problem,
			[]string{partLive},
			[]string{"WD102", "WD106"},
			"listeners of the configuration that the process has not bound", "nobody serves what is meant for them",
			"see the log: an address in use, or a missing capability", notBound,
		},
		{
			"WD313", "listener-missing", Problem,
			[]string{partSockets, partRules},
			[]string{"WD104", "WD103", "WD312"},
			"a socket that listens on the plan's port", "wanted connections pass by, or are dropped with on_down drop",
			"start a listener with transparent: true on that port", listenerMissing,
		},
		{
			"WD314", "listener-not-transparent", Problem,
			[]string{partSockets, partRules},
			nil,
			"IP_TRANSPARENT of the socket on the plan's port", "the kernel hands it no connection that is meant for somebody else",
			"set transparent: true", notTransparent,
		},
		{
			"WD315", "listener-address", Problem,
			[]string{partSockets, partRules},
			[]string{"WD313", "WD314"},
			"address of that socket, for each family of the plan",
			"only a socket of the wildcard address gets what is meant for any address", "listen on 0.0.0.0 and [::]", listenerAddress,
		},
		{
			"WD316", "own-traffic-unmarked", Problem,
			[]string{partLive, partRules},
			nil,
			"the mark of Weir's own connections, when the plan takes those of this machine",
			"Weir intercepts itself, for ever", "give the mark", ownTraffic,
		},
		{
			"WD317", "loop", Problem,
			[]string{partSockets, partProcess, partLinks},
			[]string{"WD316"},
			"connections whose both ends are Weir's", "one request turns into as many as there is room for",
			"mark Weir's own connections, or exclude their destinations", loop,
		},
		{
			"WD318", "not-installed", Warning,
			[]string{partLive, partRules},
			nil,
			"transparent listeners without rules", "nothing is handed to them", "install rules", notInstalled,
		},
		{
			"WD319", "rules-differ", Warning,
			[]string{partRules},
			[]string{"WD101", "WD201", "WD301", "WD323"},
			"whatever else differs from the plan", "interception does not work as planned", "apply the plan again", otherwise,
		},
		{
			"WD320", "nothing-taken", Note,
			[]string{partRules},
			nil,
			"packet counters of our rules", "either nobody connected, or traffic does not come through here",
			"look at the clients' route", nothingTaken,
		},
		{
			"WD321", "canary-lost", Problem,
			[]string{partCanary, partRules},
			[]string{"WD103", "WD201", "WD303", "WD304", "WD305", "WD306", "WD307", "WD308", "WD309", "WD313", "WD314", "WD315"},
			"a connection made as a client would, with --canary", "clients' connections do not arrive",
			"mend what else is found", canaryLost,
		},
		{
			"WD322", "canary-passed-by", Problem,
			[]string{partCanary, partRules},
			[]string{"WD104", "WD301", "WD303", "WD304", "WD305", "WD306", "WD307", "WD308", "WD313", "WD314", "WD315"},
			"whether that connection met Weir", "clients' connections are not intercepted", "mend what else is found", canaryPassed,
		},
		{
			"WD323", "guard-missing", Problem,
			[]string{partRules},
			[]string{"WD104", "WD301", "WD303"},
			"the guard of rules that take connections only while one runs (iptables, redirect, local)",
			"without it they let everything pass",
			"start one", guardMissing,
		},

		// What runs out.
		{
			"WD401", "conntrack-full", Problem,
			[]string{partConntrack},
			nil,
			"nf_conntrack_count against nf_conntrack_max", "new connections of every kind are dropped when it is full",
			"raise the limit", conntrackFull,
		},
		{
			"WD402", "ports-exhausted", Problem,
			[]string{partSockets, partSettings},
			nil,
			"local ports in use towards one destination, against ip_local_port_range", "no more connections to that destination can be made",
			"widen the range, or give the cluster more hosts", portsExhausted,
		},
		{
			"WD403", "accept-queue-full", Problem,
			[]string{partSockets, partRules},
			[]string{"WD103", "WD106"},
			"connections that wait to be accepted", "more are dropped, clients see timeouts",
			"give Weir more processors, or the queue more room", acceptQueue,
		},
		{
			"WD404", "short-accept-queue", Warning,
			[]string{partSockets, partSettings, partRules},
			nil,
			"room of the accept queue", "a burst of connections overflows it", "raise net.core.somaxconn and restart", shortQueue,
		},

		// What is around.
		{
			"WD501", "clock-unsynced", Note,
			[]string{partClock},
			nil,
			"adjtimex(2), and certificates that are not valid yet", "certificates are judged by the clock", "start a time service", clock,
		},
		{
			"WD502", "certificate-not-yet-valid", Problem,
			[]string{partLive},
			[]string{"WD501"},
			"not_before of every certificate", "peers refuse it", "set the clock right, or renew the certificate", certEarly,
		},
		{
			"WD503", "certificate-expired", Problem,
			[]string{partLive},
			nil,
			"not_after of every certificate", "peers refuse it", "renew it", certExpired,
		},
		{
			"WD504", "certificate-expires", Warning,
			[]string{partLive},
			nil,
			"not_after of every certificate, two weeks ahead", "peers will refuse it", "renew it", certExpires,
		},
		{
			"WD505", "names-unresolved", Problem,
			[]string{partNames},
			[]string{"WD310"},
			"the servers of resolv.conf, asked for a name that a cluster needs", "clusters of names have no hosts",
			"correct resolv.conf, or start the resolver", namesUnresolved,
		},
		{
			"WD506", "upstream-unreachable", Problem,
			[]string{partReach},
			[]string{"WD310", "WD317", "WD402"},
			"connections to hosts that did not answer", "requests that go there fail", "start the server, or mend the way to it", upstreamUnreachable,
		},
		{
			"WD507", "cluster-unhealthy", Problem,
			[]string{partLive},
			[]string{"WD505", "WD506"},
			"clusters none of whose hosts is used", "requests are answered with 503, or go to hosts that are down",
			"mend the hosts, or their health checks", clusterUnhealthy,
		},

		// The configuration.
		{
			"WD601", "admin-unreachable", Problem,
			[]string{partLive},
			[]string{"WD104", "WD103", "WD106"},
			"the admin interface", "the process cannot be asked what it does", "correct the address, or look at the log", adminUnreachable,
		},
		{
			"WD602", "control-plane-lost", Problem,
			[]string{partLive},
			[]string{"WD310", "WD505"},
			"streams to control planes", "the configuration in force grows old; new endpoints and certificates do not come",
			"start the control plane, or mend the way to it", controlPlane,
		},
		{
			"WD603", "update-rejected", Problem,
			[]string{partLive},
			nil,
			"the last response of every type, when it was refused", "the last good version serves; later changes do not come",
			"correct the resource: the text names the field", rejected,
		},
		{
			"WD604", "not-applied", Problem,
			[]string{partLive},
			[]string{"WD102", "WD106", "WD312"},
			"what the data plane answered to the last snapshot", "part of the configuration does not serve", "see the text", notApplied,
		},
		{
			"WD605", "warming", Warning,
			[]string{partLive},
			[]string{"WD602", "WD603"},
			"resources that wait for others", "they do not serve yet, or their older version does", "make the control plane send what is waited for", warming,
		},
		{
			"WD606", "last-known-good", Warning,
			[]string{partLive},
			[]string{"WD602"},
			"whether the configuration of an earlier run serves", "it may be old", "mend the control plane", lastGood,
		},
		{
			"WD607", "fields-without-effect", Note,
			[]string{partLive},
			nil,
			"fields that were accepted and do nothing here", "something may behave otherwise than its author thinks",
			"see docs/supported-fields.md", degraded,
		},
		{
			"WD608", "not-live", Problem,
			[]string{partLive},
			[]string{"WD602", "WD603", "WD604", "WD605"},
			"state of the server", "it takes no traffic yet, or no more", "see what it waits for", notLive,
		},
	}
}
