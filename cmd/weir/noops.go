package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// noops are options of Envoy's that are taken, so that a command line moves over
// as it is, and have no effect here. Values are held to Envoy's types.
var noops = []struct{ name, kind, why string }{
	{"component-log-level", "string", "there is one log level"},
	{"log-format", "string", "the log has one format"},
	{"log-format-escaped", "bool", "the log has one format"},
	{"log-stacktrace-single-entry", "bool", "the log has one format"},
	{"enable-fine-grain-logging", "bool", "there is one log level"},
	{"skip-deprecated-logs", "bool", "deprecated fields are not logged"},
	{"cpuset-threads", "bool", "the processors that may be used are always what counts"},
	{"local-address-ip-version", "string", "v4 or v6; local addresses are not asked for"},
	{"base-id", "uint32", "there is no hot restart"},
	{"base-id-path", "string", "there is no hot restart"},
	{"use-dynamic-base-id", "bool", "there is no hot restart"},
	{"restart-epoch", "uint32", "there is no hot restart"},
	{"parent-shutdown-time-s", "uint32", "there is no hot restart"},
	{"disable-hot-restart", "bool", "there is no hot restart"},
	{"skip-hot-restart-on-no-parent", "bool", "there is no hot restart"},
	{"skip-hot-restart-parent-stats", "bool", "there is no hot restart"},
	{"socket-path", "string", "there is no hot restart"},
	{"socket-mode", "string", "there is no hot restart"},
	{"file-flush-interval-msec", "uint32", "access logs are flushed every second"},
	{"file-flush-min-size-kb", "uint32", "access logs are flushed every second"},
	{"disable-extensions", "string", "what is not configured costs nothing"},
	{"allow-unknown-fields", "bool", "unknown static fields are always errors"},
	{"allow-unknown-static-fields", "bool", "unknown static fields are always errors"},
	{"enable-core-dump", "bool", "see ulimit -c and GOTRACEBACK=crash"},
	{"enable-mutex-tracing", "bool", "the Go runtime profiles locks"},
}

func addNoops(f *pflag.FlagSet) {
	for _, n := range noops {
		usage := "no effect: " + n.why
		switch n.kind {
		case "bool":
			f.Bool(n.name, false, usage)
		case "uint32":
			f.Uint32(n.name, 0, usage)
		default:
			f.String(n.name, "", usage)
		}
	}
}

// noop is the value that was given to one of them, "" when none was.
func (o *flags) noop(name string) string {
	for _, f := range o.sets {
		if f.Changed(name) {
			return f.Lookup(name).Value.String()
		}
	}
	return ""
}

// ignored lists what was given and has no effect, with the reason.
func (o *flags) ignored() (out []string) {
	for _, n := range noops {
		if o.changed(n.name) {
			out = append(out, "--"+n.name+": "+n.why)
		}
	}
	return out
}

// count is an int flag that is not negative (Envoy: uint32_t).
type count int

// String implements pflag.Value.
func (c *count) String() string { return strconv.Itoa(int(*c)) }

// Type implements pflag.Value.
func (c *count) Type() string { return "uint32" }

// Set implements pflag.Value.
func (c *count) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return fmt.Errorf("%q is not a number of 0 or more", s)
	}
	*c = count(n)
	return nil
}
