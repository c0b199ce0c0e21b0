package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// noops are options of Envoy's that are taken, so that a command line moves over
// as it is, and have no effect here. Values are held to Envoy's types.
var noops = []struct{ name, kind, value, why string }{
	{"log-stacktrace-single-entry", "bool", "", "every entry is one line already"},
	{"enable-fine-grain-logging", "bool", "", "levels are set by component"},
	{"skip-deprecated-logs", "bool", "", "deprecated fields are not logged"},
	{"cpuset-threads", "bool", "", "the processors that may be used are always what counts"},
	{"local-address-ip-version", "string", "v4", "v4 or v6; local addresses are not asked for"},
	{"restart-epoch", "uint32", "0", "there is no hot restart"},
	{"parent-shutdown-time-s", "uint32", "900", "there is no hot restart"},
	{"disable-hot-restart", "bool", "", "there is no hot restart"},
	{"skip-hot-restart-on-no-parent", "bool", "", "there is no hot restart"},
	{"skip-hot-restart-parent-stats", "bool", "", "there is no hot restart"},
	{"socket-path", "string", "@envoy_domain_socket", "there is no hot restart"},
	{"socket-mode", "string", "600", "there is no hot restart"},
}

func addNoops(f *pflag.FlagSet) {
	for _, n := range noops {
		usage := "no effect: " + n.why
		switch n.kind {
		case "bool":
			f.Bool(n.name, false, usage)
		case "uint32":
			v, _ := strconv.ParseUint(n.value, 10, 32) // of the table
			f.Uint32(n.name, uint32(v), usage)
		default:
			f.String(n.name, n.value, usage)
		}
	}
}

// noop is the value of one of them.
func (o *flags) noop(name string) string {
	value := ""
	for _, f := range o.sets {
		fl := f.Lookup(name)
		if fl == nil {
			continue
		}
		if fl.Changed || value == "" {
			value = fl.Value.String()
		}
	}
	return value
}

// noopNumber is the value of a number among them.
func (o *flags) noopNumber(name string) uint32 {
	n, _ := strconv.ParseUint(o.noop(name), 10, 32) // held to its type by the flag
	return uint32(n)
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
