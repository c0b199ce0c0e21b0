package intercept

import (
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
)

// A plan as rules of iptables. It says what compile says in nft's language, with
// the same chains, comments and order; what differs:
//
//   - There are no sets: every CIDR and every endpoint is a rule, and a SYN passes
//     them one after the other. Thousands of them are a case for nft.
//   - TPROXY drops what it cannot give to a listener. So there is a lease unless
//     the plan says drop: xt_recent remembers when it was renewed last.
//   - `accept` ends the table for a packet, other programs' rules included.
//   - The rules sit in the tables that all programs share, behind a jump that is
//     put first.

// iptTable is a table of iptables: ours is mangle (TPROXY) or nat (Redirect).
type iptTable struct {
	name   string
	chains []*iptChain
	// jumps are rules of the kernel's own chains that lead to ours.
	jumps []iptRule
}

// iptChain is a chain of ours and its rules.
type iptChain struct {
	name  string
	rules []iptRule
}

// iptRule is a rule in the words of iptables-save, in the order that it gives
// them, without the chain.
type iptRule struct {
	chain   string // of a jump; else empty
	words   []string
	packets uint64 // observed only
	bytes   uint64
}

// The ends of the chains' names, of at most five characters; see iptName.
const (
	iptInfo  = "info" // nothing leads here: it names the plan
	iptPre   = "pre"
	iptDiv   = "div"
	iptKeep  = "keep"
	iptCap   = "cap"
	iptWant  = "want"
	iptTake  = "take"
	iptOut   = "out"
	iptOWant = "owant"
	iptAgain = "again"
	iptMark  = "mark"
	iptFwd   = "fwd" // the chains of UDP443
	iptUDP   = "udp"
	iptRefus = "refus"
)

// iptNameMax is what is left of the 28 characters of a chain's name when "weir-",
// a dash and the end of the name are off.
const iptNameMax = 17

// iptBase is a plan's name as part of chain names: cut, with a hash, if too long.
// The dot keeps it apart from names that are whole.
func iptBase(name string) string {
	if len(name) <= iptNameMax {
		return name
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(name)) // never fails: hash.Hash
	return fmt.Sprintf("%s.%08x", name[:8], h.Sum32())
}

func iptName(plan, end string) string { return tablePrefix + iptBase(plan) + "-" + end }

// iptRecent is the name of the list of xt_recent that is the lease.
func iptRecent(plan string, v6 bool) string {
	if v6 {
		return tablePrefix + iptBase(plan) + ".6"
	}
	return tablePrefix + iptBase(plan) + ".4"
}

// iptCompiler makes the table of one plan and family.
type iptCompiler struct {
	p  Plan
	v6 bool
	t  *iptTable
}

// compileIPTables turns a valid plan into its tables of one family, which are
// mangle or nat, and filter where QUIC is refused. It is pure.
func compileIPTables(p Plan, v6 bool) []*iptTable {
	out := []*iptTable{compileTake(p, v6)}
	if p.UDP443 == RejectUDP443 {
		out = append(out, compileRefuse(p, v6))
	}
	return out
}

// compileTake makes the table that takes connections.
func compileTake(p Plan, v6 bool) *iptTable {
	p = p.WithDefaults()
	c := &iptCompiler{p: p, v6: v6, t: &iptTable{name: "mangle"}}
	if p.Redirect {
		c.t.name = "nat"
	}
	c.add(c.chain(iptInfo), p.Name+": "+tableComment(p), "-j", "RETURN")
	c.jump("PREROUTING", iptPre)
	pre := c.chain(iptPre)
	local := words("-i", "lo", "-p", "tcp", "-m", "mark", "--mark", markText(p.LocalMark, p.MarkMask))
	if p.Local && !p.Redirect {
		c.add(pre, "later packets of local programs", concat(local, notSYN(), c.to("-g", iptDiv))...)
		c.add(pre, "first packets of local programs", concat(local, c.to("-g", iptTake))...)
	}
	c.add(pre, "loopback", "-i", "lo", "-j", "RETURN")
	c.ingress(pre)
	if !p.Redirect {
		// Without --nowildcard the match knows no listener on the wildcard address.
		c.add(c.chain(iptDiv), "of our sockets", concat(words("-m", "socket", "--transparent"), c.to("-g", iptKeep))...)
		keep := c.chain(iptKeep)
		c.add(keep, "of our sockets", "-j", "MARK", "--set-xmark", markMask(p.Mark, p.MarkMask))
		c.add(keep, "", "-j", "ACCEPT")
	}
	c.exclusions(c.chain(iptCap), p.IncludeLocal, iptWant, iptTake)
	c.take()
	if p.Local {
		c.output()
	}
	return c.t
}

// ingress sends later packets to divert and first ones to capture.
func (c *iptCompiler) ingress(pre *iptChain) {
	names := uniqueNames(c.p.Interfaces)
	each := func(comment string, all bool, rest []string) {
		if all || len(names) == 0 {
			c.add(pre, comment, rest...)
			return
		}
		for _, n := range names {
			c.add(pre, comment, concat(words("-i", n), rest)...)
		}
	}
	later := concat(words("-p", "tcp"), notSYN())
	if c.p.Redirect {
		each("opened before", true, concat(later, words("-j", "RETURN")))
	} else {
		each("later packets", c.p.ReplySpoofed, concat(later, c.to("-g", iptDiv)))
	}
	each("first packets", false, c.to("-g", iptCap))
}

// take gives connections to the listener, while the lease holds.
func (c *iptCompiler) take() {
	take := c.chain(iptTake)
	c.lease(take)
	port := strconv.Itoa(int(c.p.ListenPort))
	if c.p.Redirect {
		c.add(take, commentIntercepted, "-p", "tcp", "-j", "REDIRECT", "--to-ports", port)
		return
	}
	any4 := "0.0.0.0"
	if c.v6 {
		any4 = "::"
	}
	c.add(take, commentIntercepted, "-p", "tcp", "-j", "TPROXY", "--on-port", port, "--on-ip", any4, "--tproxy-mark", markMask(c.p.Mark, c.p.MarkMask))
}

// output handles what programs of this machine send.
func (c *iptCompiler) output() {
	p := c.p
	c.jump("OUTPUT", iptOut)
	out := c.chain(iptOut)
	c.add(out, "own sockets", "-m", "mark", "--mark", markText(p.OwnMark, p.MarkMask), "-j", "RETURN")
	later := concat(words("-p", "tcp"), notSYN())
	if !p.Redirect {
		c.add(out, "later packets", concat(later, words("-m", "conntrack", "--ctdir", "ORIGINAL", "-m", "connmark", "--mark", markText(p.LocalMark, p.MarkMask)), c.to("-g", iptAgain))...)
	}
	c.add(out, "opened before", concat(later, words("-j", "RETURN"))...)
	if p.Redirect {
		c.exclusions(out, false, iptOWant, iptTake)
		return
	}
	// A SYN that is sent again, since the first met no listener, may pass this time.
	c.add(out, "asked again", "-m", "connmark", "--mark", markText(p.LocalMark, p.MarkMask), "-j", "CONNMARK", "--set-xmark", markMask(0, p.MarkMask))
	c.exclusions(out, false, iptOWant, iptMark)
	again := c.chain(iptAgain)
	c.add(again, "", "-j", "MARK", "--set-xmark", markMask(p.LocalMark, p.MarkMask))
	c.add(again, "", "-j", "ACCEPT")
	mark := c.chain(iptMark)
	c.lease(mark)
	c.add(mark, "local program", "-j", "CONNMARK", "--set-xmark", markMask(p.LocalMark, p.MarkMask))
	c.add(mark, "", "-j", "MARK", "--set-xmark", markMask(p.LocalMark, p.MarkMask))
	c.add(mark, "", "-j", "ACCEPT")
}

// lease adds the rule that lets packets go when nobody holds it.
func (c *iptCompiler) lease(ch *iptChain) {
	if !c.p.Lease {
		return
	}
	mask := "0.0.0.0"
	if c.v6 {
		mask = "::"
	}
	c.add(ch, commentMissed, "-m", "recent", "!", "--rcheck", "--seconds", strconv.Itoa(int(LeaseTime.Seconds())),
		"--name", iptRecent(c.p.Name, c.v6), "--mask", mask, "--rsource", "-j", "RETURN")
}

// exclusions lets unwanted first packets go from ch, and sends the others by the
// chain ports, where ports are looked at, to the chain that takes them.
func (c *iptCompiler) exclusions(ch *iptChain, includeLocal bool, ports, to string) {
	p := c.p
	ret := words("-j", "RETURN")
	if strings.HasSuffix(ch.name, "-"+iptCap) {
		c.add(ch, "own sockets", "-m", "mark", "--mark", markText(p.OwnMark, p.MarkMask), "-j", "RETURN")
		ch = c.narrow(ch, false)
	} else {
		ch = c.narrow(ch, true)
	}
	local := words("-m", "addrtype", "--dst-type", "LOCAL")
	if includeLocal {
		for _, list := range multiports(ownPorts(p)) {
			c.add(ch, "own listeners", concat(words("-p", "tcp"), local, words("-m", "multiport", "--dports", list), ret)...)
		}
	} else {
		c.add(ch, "this machine", concat(local, ret)...)
	}
	if !c.v6 {
		c.add(ch, "broadcast", concat(words("-m", "addrtype", "--dst-type", "BROADCAST"), ret)...)
	}
	c.addresses(ch, "tcp", "wanted", ports)
	c.ports(c.chain(ports), to)
}

// addresses lets go what has an unwanted destination, and sends the rest to the
// chain of that name.
func (c *iptCompiler) addresses(ch *iptChain, proto, wanted, to string) {
	ret := words("-j", "RETURN")
	for _, d := range c.cidrs(append(neverTaken(), c.p.ExcludeCIDRs...)) {
		c.add(ch, "excluded", concat(d, ret)...)
	}
	for _, a := range endpoints(c.p, c.v6) {
		d := netip.PrefixFrom(a.Addr(), a.Addr().BitLen()).String()
		c.add(ch, "excluded", "-d", d, "-p", proto, "-m", proto, "--dport", strconv.Itoa(int(a.Port())), "-j", "RETURN")
	}
	if len(c.p.IncludeCIDRs) == 0 {
		c.add(ch, wanted, c.to("-g", to)...)
		return
	}
	for _, d := range c.cidrs(c.p.IncludeCIDRs) {
		c.add(ch, "included", concat(d, c.to("-g", to))...)
	}
	c.add(ch, "not included", ret...)
}

// ports looks at the destination port.
func (c *iptCompiler) ports(ch *iptChain, to string) {
	match := func(list string) []string { return words("-p", "tcp", "-m", "multiport", "--dports", list) }
	for _, list := range multiports(excludedPorts(c.p)) {
		c.add(ch, "excluded port", concat(match(list), words("-j", "RETURN"))...)
	}
	for _, list := range multiports(c.p.Ports) {
		c.add(ch, "wanted", concat(match(list), c.to("-g", to))...)
	}
	if len(c.p.Ports) == 0 {
		c.add(ch, "wanted", c.to("-g", to)...)
	} else {
		c.add(ch, "other port", "-j", "RETURN")
	}
}
