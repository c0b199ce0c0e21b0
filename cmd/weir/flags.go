package main

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/logging"
	"github.com/weirproxy/weir/proxy/watchdog"
)

// flags are Envoy's command line options, and ours. Those of Envoy's that mean
// nothing here are in noops.go.
type flags struct {
	configPath, configYAML                   string
	mode, logLevel, logPath                  string
	concurrency                              int
	serviceNode, serviceCluster, serviceZone string
	drainTime                                uint
	drainStrategy                            string
	adminAddressPath                         string
	statsTags                                []string
	componentLevel, logFormat                string
	logEscaped                               bool
	rejectUnknownDynamic, ignoreUnknown      bool
	allowUnknown, allowUnknownOld            bool
	hotRestartVersion                        bool
	baseID                                   uint32
	baseIDPath                               string
	dynamicBaseID                            bool
	flushMillis, flushKB                     uint32
	disabled                                 string
	flows                                    string
	coreDump, mutexTracing                   bool
	intercept                                interceptFlags
	interceptOn                              string
	netns                                    []string
	netnsUpstream                            string
	lastGood, lastGoodKey                    string
	lastGoodAfter                            uint
	watchdog                                 time.Duration
	repair                                   bool

	sets []*pflag.FlagSet // where they were added: the verbs share one flags
}

func (o *flags) add(f *pflag.FlagSet) {
	o.sets = append(o.sets, f)
	f.StringVarP(&o.configPath, "config-path", "c", "", "bootstrap `file`: .yaml, .yml, .json, .pb or .pb_text; default: "+defaultPathText)
	f.StringVar(&o.configYAML, "config-yaml", "", "bootstrap as `text`, merged over the file")
	f.StringVar(&o.mode, "mode", "serve", "serve, or validate (or init_only): check the configuration and exit")
	f.StringVarP(&o.logLevel, "log-level", "l", "info", "trace, debug, info, warning, error, critical, off; default: $WEIR_LOG_LEVEL, or")
	f.StringVar(&o.componentLevel, "component-log-level", "", "`list` of levels by component, as upstream:debug,config:trace")
	f.StringVar(&o.logFormat, "log-format", "", "`pattern` of spdlog's for log lines; %v is the message with its fields, %t the process")
	f.BoolVar(&o.logEscaped, "log-format-escaped", false, "make control characters of messages visible, with --log-format")
	f.StringVar(&o.logPath, "log-path", "", "`file` for the log; standard error when not given")
	f.Var((*count)(&o.concurrency), "concurrency", "threads that serve; default: the processors there are")
	f.StringVar(&o.serviceNode, "service-node", "", "node.id, where the bootstrap has none")
	f.StringVar(&o.serviceCluster, "service-cluster", "", "node.cluster, where the bootstrap has none")
	f.StringVar(&o.serviceZone, "service-zone", "", "node.locality.zone, where the bootstrap has none")
	f.UintVar(&o.drainTime, "drain-time-s", 600, "seconds that connections may go on when draining")
	f.StringVar(&o.drainStrategy, "drain-strategy", "gradual", "gradual: wait for connections to end; immediate: do not")
	f.StringVar(&o.adminAddressPath, "admin-address-path", "", "`file` to write the admin address to")
	f.StringArrayVar(&o.statsTags, "stats-tag", nil, "`name:value` of a label on every statistic; may be given more than once")
	f.BoolVar(&o.rejectUnknownDynamic, "reject-unknown-dynamic-fields", false, "refuse dynamic resources with unsupported fields")
	f.BoolVar(&o.ignoreUnknown, "ignore-unknown-dynamic-fields", false, "no effect: unsupported dynamic fields are listed and counted unless refused")
	f.BoolVar(&o.allowUnknown, "allow-unknown-static-fields", false, "accept fields of the file that are known and not supported; names that nobody knows are errors always")
	f.BoolVar(&o.allowUnknownOld, "allow-unknown-fields", false, "the same, deprecated")
	f.Uint32Var(&o.baseID, "base-id", 0, "`number` for --base-id-path; there is no hot restart that would need it")
	f.BoolVar(&o.dynamicBaseID, "use-dynamic-base-id", false, "choose that number")
	f.StringVar(&o.baseIDPath, "base-id-path", "", "`file` to write that number to")
	f.Uint32Var(&o.flushMillis, "file-flush-interval-msec", 1000, "milliseconds that lines of access logs wait at most; Envoy's default is 10000")
	f.Uint32Var(&o.flushKB, "file-flush-min-size-kb", 64, "kilobytes of access log lines that do not wait")
	f.StringVar(&o.flows, "flows", "paths", "what is kept of recent flows: off, hosts (no paths), paths (without the values in queries), full")
	f.StringVar(&o.disabled, "disable-extensions", "", "`list` of extensions that do not exist, as envoy.filters.http/envoy.filters.http.fault")
	f.BoolVar(&o.coreDump, "enable-core-dump", false, "let crashes dump core")
	f.BoolVar(&o.mutexTracing, "enable-mutex-tracing", false, "trace lock contention, for /contention")
	f.BoolVar(&o.hotRestartVersion, "hot-restart-version", false, "print the hot restart compatibility version and exit")
	o.intercept.add(f)
	f.StringVar(&o.interceptOn, "intercept", "", "take traffic with rules that live as long as this process; the value is the destination `ports`, e.g. 80,443 or all")
	f.StringArrayVar(&o.netns, "netns", nil, "network namespace in which traffic is taken, instead of here: a name of ip-netns(8), or a `path` such as /proc/PID/ns/net; may be given more than once; one that is not there is waited for")
	f.StringVar(&o.netnsUpstream, "netns-upstream", "there", "where connections to upstream hosts are made for clients of --netns: there or here")
	f.StringVar(&o.lastGood, "last-known-good", "", "`file` to keep the configuration in force in, and to start from when no control plane answers; default: $STATE_DIRECTORY/"+lastGoodName+", if set")
	f.StringVar(&o.lastGoodKey, "last-known-good-key", "", "`file` with a key of 32 or more random bytes: the configuration is kept encrypted, with its secrets")
	f.UintVar(&o.lastGoodAfter, "last-known-good-wait", 0, "seconds that control planes are waited for before the last known good configuration serves; default: initial_fetch_timeout")
	f.BoolVar(&o.repair, "intercept-repair", false, "put the rules of --intercept back when others change them; without it that is reported only")
	f.DurationVar(&o.watchdog, "watchdog", defaultWatchdog, "kill a process that shows no sign of life for so long, so that traffic flows past it; 0 does not. By default with --intercept or a transparent listener only")
	addNoops(f)
}

// changed tells whether a flag was given.
func (o *flags) changed(name string) bool {
	for _, f := range o.sets {
		if f.Changed(name) {
			return true
		}
	}
	return false
}

// check finds values that are wrong whatever the configuration says.
func (o *flags) check() error {
	var errs []error
	oneOf := func(flag, value string, want ...string) {
		for _, w := range want {
			if value == w {
				return
			}
		}
		last := len(want) - 1
		errs = append(errs, fmt.Errorf("--%s %q: want %s or %s", flag, value, strings.Join(want[:last], ", "), want[last]))
	}
	oneOf("mode", o.mode, "serve", "validate", "init_only")
	oneOf("netns-upstream", o.netnsUpstream, "there", "here")
	oneOf("drain-strategy", o.drainStrategy, "gradual", "immediate")
	oneOf("local-address-ip-version", o.noop("local-address-ip-version"), "v4", "v6")
	if o.dynamicBaseID && o.noopNumber("restart-epoch") != 0 {
		errs = append(errs, errors.New("--use-dynamic-base-id: cannot be used with --restart-epoch"))
	}
	if !o.changed("log-level") {
		if v := os.Getenv("WEIR_LOG_LEVEL"); v != "" {
			o.logLevel = v
		}
	}
	if _, err := o.levels(); err != nil {
		errs = append(errs, err)
	}
	if _, err := logging.ParsePattern(o.logFormat, o.logEscaped); err != nil {
		errs = append(errs, fmt.Errorf("--log-format %q: %w", o.logFormat, err))
	}
	if _, err := o.tags(); err != nil {
		errs = append(errs, err)
	}
	if o.watchdog != 0 && o.watchdog < watchdog.MinLimit {
		errs = append(errs, fmt.Errorf("--watchdog %s: want 0, or %s or more", o.watchdog, watchdog.MinLimit))
	}
	if o.interceptOn != "" {
		p, err := o.intercept.plan(o.interceptOn)
		if err != nil {
			errs = append(errs, err)
		}
		if len(o.netns) > 0 && p.Backend != intercept.NFT {
			errs = append(errs, errors.New("--intercept-backend: with --netns rules are nft's, which end with this process by themselves"))
		}
	}
	return errors.Join(errs...)
}

// tagForm is what Envoy's help says of --stats-tag.
var tagForm = regexp.MustCompile(`^([A-Za-z0-9]+):([^.]*)$`)

// tags are the labels of --stats-tag, names and values in turn.
func (o *flags) tags() ([][2]string, error) {
	var out [][2]string
	seen := map[string]bool{}
	for _, t := range o.statsTags {
		m := tagForm.FindStringSubmatch(t)
		switch {
		case m == nil:
			return nil, fmt.Errorf("--stats-tag %q: want name:value, with a name of letters and digits and a value without dots", t)
		case seen[m[1]]:
			return nil, fmt.Errorf("--stats-tag %q: %q has a value already", t, m[1])
		}
		seen[m[1]] = true
		out = append(out, [2]string{m[1], m[2]})
	}
	return out, nil
}

func (o *flags) drain() time.Duration { return time.Duration(o.drainTime) * time.Second }
