package intercept

import "github.com/google/nftables"

// priorityRedirect is one before nft's dstnat: a plan takes what a service's
// address was asked for (Docker, kube-proxy) before that is rewritten.
const priorityRedirect = -101

// compileRedirect makes the chains of a Redirect plan. Chains of type nat see the
// first packet that connection tracking has of a connection, which need not be a
// SYN: what was open before is left alone.
func (pr *program) compileRedirect(p Plan, x exclusions) {
	base := func(name string, num nftables.ChainHook) *chain {
		c := &chain{name: name, hook: &hook{nftables.ChainTypeNAT, num, name, priorityRedirect}}
		c.onlyTCP(p.Families)
		return c
	}
	take := &chain{name: chainTake}
	if pr.lease != nil {
		take.add(commentMissed, matchNoLease(pr.lease), count(), leave())
	}
	take.add(commentIntercepted, redirectTo(p.ListenPort))

	pre := base(chainPrerouting, *nftables.ChainHookPrerouting)
	pre.add("loopback", matchIngress("lo"), leave())
	pre.add("opened before", matchNotSYN(), leave())
	pre.firstPackets(p)

	pr.chains = []*chain{take}
	pr.captureChain(p, x)
	if p.Local {
		out := base(chainOutput, *nftables.ChainHookOutput)
		out.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
		out.add("opened before", matchNotSYN(), leave())
		q := p
		q.IncludeLocal = false // as in outputChain
		last := pr.narrow(out, p, true)
		x.apply(last, q)
		last.add("wanted", goTo(chainTake))
		pr.chains = append(pr.chains, out)
	}
	pr.chains = append(pr.chains, pre)
}
