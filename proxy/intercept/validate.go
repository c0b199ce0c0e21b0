package intercept

import (
	"errors"
	"fmt"
	"strings"
)

// maxName keeps "weir-" + Name + a comment within what people can read.
const maxName = 32

// ifNameLen is IFNAMSIZ - 1, the longest interface name.
const ifNameLen = 15

// Validate checks the plan, defaults filled in, and reports every wrong field by
// its path, joined into one error.
func (p Plan) Validate() error {
	p = p.WithDefaults()
	var errs []error
	bad := func(path, format string, args ...any) {
		errs = append(errs, fmt.Errorf(path+": "+format, args...))
	}

	if !validName(p.Name) {
		bad("name", "%q: want 1 to %d of a-z, 0-9 and -, a letter first", p.Name, maxName)
	}
	if p.ListenPort == 0 {
		bad("listen_port", "unset")
	}
	checkPorts(p.Ports, "ports", bad)
	checkPorts(p.ExcludePorts, "exclude_ports", bad)
	checkPorts(p.DropPorts, "drop_ports", bad)
	for i, name := range p.Interfaces {
		path := fmt.Sprintf("interfaces[%d]", i)
		switch {
		case name == "" || len(name) > ifNameLen || strings.ContainsAny(name, "/ \t\n\"*"):
			bad(path, "%q is not an interface name", name)
		case name == "lo":
			bad(path, "lo is not an ingress; local asks for this machine's own connections")
		}
	}
	p.validateMarks(bad)
	if p.Table < 1 || p.Table >= 253 && p.Table <= 255 || int64(p.Table) > 0xffffffff {
		bad("table", "%d: want a number other than 0 and 253 to 255 (default, main, local)", p.Table)
	}
	if p.Priority < 1 || p.Priority > 32763 {
		bad("priority", "%d: want 1 to 32763, ahead of the main table's 32766", p.Priority)
	}
	if p.Families&^(IPv4|IPv6) != 0 {
		bad("families", "%d is not a set of IPv4 and IPv6", p.Families)
	}
	p.validateAddrs(bad)
	if p.Backend > IPTablesLegacy {
		bad("backend", "%d is not a backend", p.Backend)
	}
	p.validatePrograms(bad)
	switch {
	case p.UDP443 > RejectUDP443:
		bad("udp_443", "%d is neither pass nor reject", p.UDP443)
	case p.UDP443 == RejectUDP443 && !p.takesQUICPort():
		bad("udp_443", "TCP port %d is left alone: clients would not fall back to what is intercepted", quicPort)
	}
	if p.Redirect && p.ReplySpoofed {
		bad("reply_spoofed", "goes with TPROXY only: a redirected connection's replies have no way back to a borrowed address")
	}
	if p.Lease && p.OnDown == Drop {
		bad("lease", "with on_down drop nothing is to pass when it expires")
	}
	if len(p.DropPorts) > 0 && p.Backend != NFT {
		bad("drop_ports", "need the backend nft")
	}
	if len(p.DropPorts) > 0 && p.OnDown == Drop {
		bad("drop_ports", "with on_down drop all ports fail closed")
	}
	if p.OnDown > Drop {
		bad("on_down", "%d is neither pass nor drop", p.OnDown)
	}
	for i, s := range p.Sysctls {
		path := fmt.Sprintf("sysctls[%d]", i)
		if !validSysctl(s.Key) {
			bad(path+".key", "%q is not a setting below net.", s.Key)
		}
		if strings.TrimSpace(s.Value) == "" {
			bad(path+".value", "unset")
		}
	}
	return errors.Join(errs...)
}

// validName allows what nft, file names and people take without quoting.
func validName(s string) bool {
	if len(s) == 0 || len(s) > maxName || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// validSysctl keeps a key within /proc/sys/net: interface names may hold dots,
// written as slashes, so ".." can be spelled in several ways.
func validSysctl(key string) bool {
	rest, ok := strings.CutPrefix(key, "net.")
	if !ok || rest == "" || strings.ContainsAny(rest, " \t\n\x00") {
		return false
	}
	for part := range strings.SplitSeq(sysctlFile(rest), "/") {
		if part == "" || part == "." || part == ".." {
			return false
		}
	}
	return true
}

func checkPorts(ranges []PortRange, path string, bad func(string, string, ...any)) {
	for i, r := range ranges {
		if r.From == 0 || r.To < r.From {
			bad(fmt.Sprintf("%s[%d]", path, i), "%d-%d is not a range of ports", r.From, r.To)
		}
	}
}

// validateMarks checks that the three marks can be told apart under the mask.
func (p Plan) validateMarks(bad func(string, string, ...any)) {
	marks := []struct {
		path string
		v    uint32
	}{{"mark", p.Mark}, {"own_mark", p.OwnMark}, {"local_mark", p.LocalMark}}
	for i, m := range marks {
		if m.v&^p.MarkMask != 0 {
			bad(m.path, "%#x has bits outside mark_mask %#x", m.v, p.MarkMask)
		}
		for _, o := range marks[:i] {
			if m.v == o.v {
				bad(m.path, "%#x is also %s", m.v, o.path)
			}
		}
	}
}

// validateAddrs checks the CIDRs and the excluded endpoints.
func (p Plan) validateAddrs(bad func(string, string, ...any)) {
	for i, c := range p.IncludeCIDRs {
		if !c.IsValid() || c.Addr().Is4In6() {
			bad(fmt.Sprintf("include_cidrs[%d]", i), "not an IPv4 or IPv6 prefix")
		}
	}
	for i, c := range p.ExcludeCIDRs {
		if !c.IsValid() || c.Addr().Is4In6() {
			bad(fmt.Sprintf("exclude_cidrs[%d]", i), "not an IPv4 or IPv6 prefix")
		}
	}
	for i, a := range p.ExcludeAddrPorts {
		path := fmt.Sprintf("exclude_addr_ports[%d]", i)
		switch {
		case !a.Addr().IsValid() || a.Port() == 0:
			bad(path, "want an address and a port")
		case a.Addr().Zone() != "":
			bad(path, "%s has a zone; link-local addresses are never taken", a)
		}
	}
}
