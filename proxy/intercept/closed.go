package intercept

import (
	"fmt"

	"github.com/google/nftables"
	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// closedPrefix begins the names of the tables that keep connections from passing:
// not with tablePrefix, for they are no interceptions.
const closedPrefix = "weir_closed_"

// closes tells whether the plan fails closed, for all that it takes or for some ports.
func (p Plan) closes() bool { return p.OnDown == Drop || len(p.DropPorts) > 0 }

// compileClosed makes the table of a plan that fails closed. Nobody owns it: it
// outlives whoever took connections, and only Remove, or another plan of the name,
// takes it away. It comes after the plan's own table, and drops the first packets
// that the plan wants and nobody has taken.
//
// Who has taken a packet has marked it; with Redirect, its destination is this
// machine by then.
func compileClosed(p Plan) *program {
	p = p.WithDefaults()
	pr := &program{table: closedPrefix + p.Name, comment: "weir: fails closed; weir intercept down --name " + p.Name + " opens it"}
	x := pr.exclusions(p)
	take := &chain{name: chainTake}
	if p.OnDown == Drop {
		take.add("closed", count(), drop())
	} else {
		take.add("closed", matchDport(pr.portSet("closed", p.DropPorts), false), count(), drop())
	}
	pr.chains = []*chain{take}
	pr.captureChain(p, x)

	priority := int32(priorityMangle + 1)
	if p.Redirect {
		priority = priorityRedirect + 2 // after all destination NAT
	}
	base := func(name string, num nftables.ChainHook, mark uint32) *chain {
		c := &chain{name: name, hook: &hook{nftables.ChainTypeFilter, num, name, priority}}
		c.onlyTCP(p.Families)
		if !p.Redirect {
			c.add("taken", matchMark(mark, p.MarkMask), leave())
		}
		return c
	}
	if p.Local {
		out := base(chainOutput, *nftables.ChainHookOutput, p.LocalMark)
		out.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
		out.add("opened before", matchNotSYN(), leave())
		q := p
		q.IncludeLocal = false // as in outputChain
		last := pr.narrow(out, q, true)
		x.apply(last, q)
		last.add("wanted", goTo(chainTake))
		pr.chains = append(pr.chains, out)
	}
	pre := base(chainPrerouting, *nftables.ChainHookPrerouting, p.Mark)
	pre.add("loopback", matchIngress("lo"), leave())
	pre.add("opened before", matchNotSYN(), leave())
	pre.firstPackets(p)
	pr.chains = append(pr.chains, pre)
	return pr
}

// clearTable takes a table away that may be there or not.
func clearTable(name string) []mdl.Message {
	return []mdl.Message{message(unix.NFT_MSG_NEWTABLE, mdl.Create, attrString(unix.NFTA_TABLE_NAME, name)), deleteTable(name)}
}

// closedMessages put the table of a plan that fails closed in place of an older one;
// of another plan, they take that away.
func closedMessages(p Plan) ([]mdl.Message, error) {
	msgs := clearTable(closedPrefix + p.Name)
	if !p.closes() {
		return msgs, nil
	}
	pr := compileClosed(p)
	if err := pr.locate(); err != nil {
		return nil, err
	}
	add, err := pr.messages(false)
	return append(msgs, add...), err
}

// open takes the table of that name away that keeps connections from passing.
func (w *nftWall) open(name string) error {
	if err := w.nf.commit(clearTable(closedPrefix + name)); err != nil {
		return fmt.Errorf("delete table inet %s%s: %w", closedPrefix, name, err)
	}
	return nil
}

// open does it in the network namespace of the calling thread.
func open(name string) error {
	nf, err := dialNF()
	if err != nil {
		return err
	}
	defer nf.close()
	return (&nftWall{nf}).open(name)
}
