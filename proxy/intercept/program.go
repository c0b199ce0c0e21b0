package intercept

import (
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// program is a plan compiled to the parts of one nftables table.
type program struct {
	table   string
	comment string // see tableComment
	sets    []*set
	lease   *set // among sets; nil when the plan needs none
	chains  []*chain
	cgroups []located // see locate
}

// chain is a chain and its rules; a base chain has a hook.
type chain struct {
	name  string
	hook  *hook
	rules []rule
}

// hook is where a base chain sits. TPROXY's run at priority mangle (-150): after
// connection tracking (-200), before destination NAT (-100); see also priorityRedirect.
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
	if p.Lease {
		pr.lease = pr.leaseSet()
	}
	if p.Redirect {
		pr.compileRedirect(p, x)
	} else {
		pr.compileTPROXY(p, x)
	}
	pr.compileUDP443(p, x)
	return pr
}

// compileTPROXY makes the chains of a plan that keeps destinations.
func (pr *program) compileTPROXY(p Plan, x exclusions) {
	pre := &chain{name: chainPrerouting, hook: &hook{nftables.ChainTypeFilter, *nftables.ChainHookPrerouting, "prerouting", priorityMangle}}
	pre.onlyTCP(p.Families)
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
	pre.firstPackets(p)

	divert := &chain{name: chainDivert}
	// A later packet of somebody's connection to this very port elsewhere would
	// find our listener below.
	divert.add("no connection", matchListener(p.ListenPort), leave())
	divert.add("of our sockets", matchSocket(), setMark(p.Mark, p.MarkMask), count(), accept())

	take := &chain{name: chainTake}
	if pr.lease != nil {
		take.add(commentMissed, matchNoLease(pr.lease), count(), leave())
	}
	take.add(commentIntercepted, tproxyTo(p.ListenPort), setMark(p.Mark, p.MarkMask), count(), accept())
	if p.OnDown == Drop {
		take.add(commentMissed, count(), drop())
	} else {
		take.add(commentMissed, count(), leave())
	}

	pr.chains = []*chain{take, divert}
	pr.captureChain(p, x)
	if p.Local {
		pr.chains = append(pr.chains, pr.markChain(p))
		pr.outputChain(p, x)
	}
	pr.chains = append(pr.chains, pre)
}

// captureChain decides about first packets that enter.
func (pr *program) captureChain(p Plan, x exclusions) {
	capture := &chain{name: chainCapture}
	capture.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	last := pr.narrow(capture, p, false)
	x.apply(last, p)
	last.add("wanted", goTo(chainTake))
	pr.chains = append(pr.chains, capture)
}

// onlyTCP adds the rules that let go what no plan of these families takes.
func (c *chain) onlyTCP(f Families) {
	c.add("not tcp", matchL4TCP(true), leave())
	c.onlyFamilies(f)
}

// onlyFamilies adds the rule that lets the other IP version go.
func (c *chain) onlyFamilies(f Families) {
	switch f {
	case IPv4:
		c.add("not ipv4", matchFamily(true), leave())
	case IPv6:
		c.add("not ipv6", matchFamily(false), leave())
	}
}

// firstPackets adds the rules that send what enters by the plan's interfaces to capture.
func (c *chain) firstPackets(p Plan) {
	names := uniqueNames(p.Interfaces)
	for _, name := range names {
		c.add("first packets", matchIngress(name), goTo(chainCapture))
	}
	if len(names) == 0 {
		c.add("first packets", goTo(chainCapture))
	}
}

// outputChain handles what programs of this machine send. Type route: the packet
// is routed again when its mark changed.
func (pr *program) outputChain(p Plan, x exclusions) {
	out := &chain{name: chainOutput, hook: &hook{nftables.ChainTypeRoute, *nftables.ChainHookOutput, "output", priorityMangle}}
	out.onlyTCP(p.Families)
	out.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	out.add("later packets", matchNotSYN(), matchConnMark(p.LocalMark, p.MarkMask), setMark(p.LocalMark, p.MarkMask), count(), accept())
	out.add("opened before", matchNotSYN(), leave())
	// A SYN that is sent again, since the first met no listener, may pass this time.
	out.add("asked again", matchConnMark(p.LocalMark, p.MarkMask), setConnMark(0, p.MarkMask))
	// A local program that asks for a local address never leaves the machine:
	// there is nothing to intercept, whatever IncludeLocal says.
	p.IncludeLocal = false
	last := pr.narrow(out, p, true)
	x.apply(last, p)
	last.add("wanted", goTo(chainMark))
	pr.chains = append(pr.chains, out)
}

// markChain sends a local program's connection over lo, where take gets it.
func (pr *program) markChain(p Plan) *chain {
	c := &chain{name: chainMark}
	if pr.lease != nil {
		c.add(commentMissed, matchNoLease(pr.lease), count(), leave())
	}
	c.add("local program", setConnMark(p.LocalMark, p.MarkMask), setMark(p.LocalMark, p.MarkMask), count(), accept())
	return c
}
