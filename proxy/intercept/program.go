package intercept

import (
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// program is a plan compiled to the parts of one nftables table.
type program struct {
	table   string
	comment string // see tableComment
	sets    []*set
	chains  []*chain
}

// chain is a chain and its rules; a base chain has a hook.
type chain struct {
	name  string
	hook  *hook
	rules []rule
}

// hook is where a base chain sits. Both of ours run at priority mangle (-150):
// after connection tracking (-200), before destination NAT (-100).
type hook struct {
	typ      nftables.ChainType
	num      nftables.ChainHook
	name     string // "prerouting" or "output"
	priority int32
}

// rule is one rule: its text as nft prints it, its expressions, and the comment
// by which Verify and Status know it.
type rule struct {
	text, comment string
	exprs         []expr.Any
}

// add appends a rule made of the fragments.
func (c *chain) add(comment string, fs ...fragment) {
	r := rule{comment: comment}
	words := make([]string, len(fs))
	for i, f := range fs {
		words[i] = f.text
		r.exprs = append(r.exprs, f.exprs...)
	}
	r.text = strings.Join(words, " ")
	c.rules = append(c.rules, r)
}

// The chains. All packets enter prerouting (and output); only SYNs reach capture.
const (
	chainPrerouting = "prerouting"
	chainOutput     = "output"
	chainDivert     = "divert"  // later packets: is there a socket of ours?
	chainCapture    = "capture" // first packets: does the plan want them?
	chainTake       = "take"    // wanted: to the listener
	chainMark       = "reroute" // wanted, from a local program: over lo to take
)

// The comments of the rules whose packets Status adds up.
const (
	commentIntercepted = "intercepted"
	commentMissed      = "nothing listens"
)

// priorityMangle is nft's "mangle".
const priorityMangle = -150

// compile turns a valid plan into its table. It is pure.
//
// The order matters: a SYN goes to tproxy and never to the socket lookup,
// since a SYN that met a TIME_WAIT socket there would miss the listener (measured:
// a third of the connection rate). Everything but the SYN skips the exclusions,
// so they cost established connections nothing, and a connection keeps its way
// when the plan changes.
func compile(p Plan) *program {
	p = p.WithDefaults()
	pr := &program{table: p.TableName(), comment: tableComment(p)}
	x := pr.exclusions(p)

	pre := &chain{name: chainPrerouting, hook: &hook{nftables.ChainTypeFilter, *nftables.ChainHookPrerouting, "prerouting", priorityMangle}}
	pre.add("not tcp", matchL4TCP(true), leave())
	switch p.Families {
	case IPv4:
		pre.add("not ipv4", matchFamily(true), leave())
	case IPv6:
		pre.add("not ipv6", matchFamily(false), leave())
	}
	if p.Local {
		// Not every packet on lo: only those that our output chain sent there.
		pre.add("later packets of local programs", matchIngress("lo"), matchMark(p.LocalMark, p.MarkMask), matchNotSYN(), goTo(chainDivert))
		pre.add("first packets of local programs", matchIngress("lo"), matchMark(p.LocalMark, p.MarkMask), goTo(chainTake))
	}
	pre.add("loopback", matchIngress("lo"), leave())
	ingress := uniqueNames(p.Interfaces)
	if len(ingress) == 0 || p.ReplySpoofed {
		pre.add("later packets", matchNotSYN(), goTo(chainDivert))
	} else {
		for _, name := range ingress {
			pre.add("later packets", matchIngress(name), matchNotSYN(), goTo(chainDivert))
		}
	}
	for _, name := range ingress {
		pre.add("first packets", matchIngress(name), goTo(chainCapture))
	}
	if len(ingress) == 0 {
		pre.add("first packets", goTo(chainCapture))
	}

	divert := &chain{name: chainDivert}
	// A later packet of somebody's connection to this very port elsewhere would
	// find our listener below.
	divert.add("no connection", matchListener(p.ListenPort), leave())
	divert.add("of our sockets", matchSocket(), setMark(p.Mark, p.MarkMask), count(), accept())

	capture := &chain{name: chainCapture}
	x.apply(capture, p)
	capture.add("wanted", goTo(chainTake))

	take := &chain{name: chainTake}
	take.add(commentIntercepted, tproxyTo(p.ListenPort), setMark(p.Mark, p.MarkMask), count(), accept())
	if p.OnDown == Drop {
		take.add(commentMissed, count(), drop())
	} else {
		take.add(commentMissed, count(), leave())
	}

	// A chain must exist before a rule names it: leaves first.
	pr.chains = []*chain{take, divert, capture}
	if p.Local {
		pr.chains = append(pr.chains, markChain(p), outputChain(p, x))
	}
	pr.chains = append(pr.chains, pre)
	return pr
}

// outputChain handles what programs of this machine send. Type route: the packet
// is routed again when its mark changed.
func outputChain(p Plan, x exclusions) *chain {
	out := &chain{name: chainOutput, hook: &hook{nftables.ChainTypeRoute, *nftables.ChainHookOutput, "output", priorityMangle}}
	out.add("not tcp", matchL4TCP(true), leave())
	switch p.Families {
	case IPv4:
		out.add("not ipv4", matchFamily(true), leave())
	case IPv6:
		out.add("not ipv6", matchFamily(false), leave())
	}
	out.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	out.add("later packets", matchNotSYN(), matchConnMark(p.LocalMark, p.MarkMask), setMark(p.LocalMark, p.MarkMask), count(), accept())
	out.add("opened before", matchNotSYN(), leave())
	// A local program that asks for a local address never leaves the machine:
	// there is nothing to intercept, whatever IncludeLocal says.
	p.IncludeLocal = false
	x.apply(out, p)
	out.add("wanted", goTo(chainMark))
	return out
}

// markChain sends a local program's connection over lo, where take gets it.
func markChain(p Plan) *chain {
	c := &chain{name: chainMark}
	c.add("local program", setConnMark(p.LocalMark, p.MarkMask), setMark(p.LocalMark, p.MarkMask), count(), accept())
	return c
}

// exclusions are the sets that say what a plan takes and leaves alone; nil means none.
type exclusions struct {
	never4, never6         *set
	include4, include6     *set
	ports, excludePorts    *set
	endpoints4, endpoints6 *set
	ownPorts               *set
	restrictIncludes       bool
}

// exclusions makes the sets of the plan.
func (pr *program) exclusions(p Plan) exclusions {
	var x exclusions
	never := append(neverTaken(), p.ExcludeCIDRs...)
	x.never4 = pr.cidrSet("exclude4", never, false)
	x.never6 = pr.cidrSet("exclude6", never, true)
	if len(p.IncludeCIDRs) > 0 {
		x.restrictIncludes = true
		x.include4 = pr.cidrSet("include4", p.IncludeCIDRs, false)
		x.include6 = pr.cidrSet("include6", p.IncludeCIDRs, true)
	}
	x.ports = pr.portSet("ports", p.Ports)
	excluded := p.ExcludePorts
	if !p.SSH {
		excluded = append([]PortRange{Port(sshPort)}, excluded...)
	}
	x.excludePorts = pr.portSet("exclude_ports", excluded)

	var pairs []netip.AddrPort
	own := []PortRange{Port(p.ListenPort)}
	for _, a := range p.ExcludeAddrPorts {
		if a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); a.Addr().IsUnspecified() {
			own = append(own, Port(a.Port()))
		} else {
			pairs = append(pairs, a)
		}
	}
	x.endpoints4 = pr.endpointSet("exclude_endpoints4", pairs, false)
	x.endpoints6 = pr.endpointSet("exclude_endpoints6", pairs, true)
	if p.IncludeLocal {
		x.ownPorts = pr.portSet("own_ports", own)
	}
	return x
}

// apply adds the rules that let unwanted first packets go.
func (x exclusions) apply(c *chain, p Plan) {
	if c.name == chainCapture {
		c.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	}
	if p.IncludeLocal {
		c.add("own listeners", matchDestType("local"), matchDport(x.ownPorts, false), leave())
	} else {
		c.add("this machine", matchDestType("local"), leave())
	}
	c.add("broadcast", matchDestType("broadcast"), leave())
	for _, s := range []*set{x.never4, x.never6} {
		c.add("excluded", matchDaddr(s, false), count(), leave())
	}
	for _, s := range []*set{x.endpoints4, x.endpoints6} {
		if s != nil {
			c.add("excluded", matchEndpoint(s), count(), leave())
		}
	}
	if x.restrictIncludes {
		for i, s := range []*set{x.include4, x.include6} {
			if s != nil {
				c.add("not included", matchDaddr(s, true), count(), leave())
			} else {
				c.add("not included", matchFamily(i == 1), count(), leave())
			}
		}
	}
	if x.excludePorts != nil {
		c.add("excluded port", matchDport(x.excludePorts, false), count(), leave())
	}
	if x.ports != nil {
		c.add("other port", matchDport(x.ports, true), count(), leave())
	}
}
