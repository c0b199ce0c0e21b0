package intercept

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// UDP443 is what becomes of datagrams to UDP port 443, which is QUIC (HTTP/3): a
// client that speaks it goes past an interception of TCP.
type UDP443 uint8

// The values of UDP443.
const (
	// PassUDP443 leaves them alone.
	PassUDP443 UDP443 = iota
	// RejectUDP443 answers with ICMP, port unreachable, where TCP to the same port and
	// address would be taken: clients then use TCP at once (RFC 9308 §2). A program of
	// this machine has its datagram refused by the system (EPERM).
	RejectUDP443
)

// String is the word of the configuration: "pass" or "reject".
func (u UDP443) String() string {
	if u == RejectUDP443 {
		return "reject"
	}
	return "pass"
}

// MarshalText writes "pass" or "reject".
func (u UDP443) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads "pass" or "reject".
func (u *UDP443) UnmarshalText(b []byte) error {
	switch string(b) {
	case "pass", "":
		*u = PassUDP443
	case "reject":
		*u = RejectUDP443
	default:
		return fmt.Errorf("%q: want pass or reject", b)
	}
	return nil
}

// quicPort is where HTTP/3 is spoken.
const quicPort = 443

// takesQUICPort tells whether TCP to port 443 is taken at all.
func (p Plan) takesQUICPort() bool {
	in := func(rs []PortRange) bool {
		return slices.ContainsFunc(rs, func(r PortRange) bool { return r.From <= quicPort && quicPort <= r.To })
	}
	return (len(p.Ports) == 0 || in(p.Ports)) && !in(p.ExcludePorts)
}

// The chains of UDP443. They are at nft's priority "filter", where datagrams that
// are forwarded are told from those to this machine.
const (
	chainForward   = "forward"
	chainOutputUDP = "output_udp"
	chainRefuse    = "refuse"
	commentRefused = "refused"
	priorityFilter = 0
)

// compileUDP443 adds the chains that refuse QUIC.
func (pr *program) compileUDP443(p Plan, x exclusions) {
	if p.UDP443 != RejectUDP443 {
		return
	}
	refuse := &chain{name: chainRefuse}
	if pr.lease != nil {
		refuse.add(commentMissed, matchNoLease(pr.lease), count(), leave())
	}
	refuse.add(commentRefused, count(), rejectPort())
	pr.chains = append(pr.chains, refuse)

	base := func(name, at string, num nftables.ChainHook) *chain {
		c := &chain{name: name, hook: &hook{nftables.ChainTypeFilter, num, at, priorityFilter}}
		c.add("not udp", matchL4(unix.IPPROTO_UDP, true), leave())
		c.onlyFamilies(p.Families)
		c.add("other port", matchUDPPort(quicPort, true), leave())
		return c
	}
	rest := func(c *chain) {
		x.addresses(c, unix.IPPROTO_UDP)
		c.add("quic", goTo(chainRefuse))
	}
	forward := base(chainForward, "forward", *nftables.ChainHookForward)
	var ingress []fragment
	for _, name := range uniqueNames(p.Interfaces) {
		ingress = append(ingress, matchIngress(name))
	}
	rest(pr.narrow(pr.only(forward, chainForward+"_in", "interface", ingress), p, false))
	pr.chains = append(pr.chains, forward)
	if !p.Local {
		return
	}
	out := base(chainOutputUDP, "output", *nftables.ChainHookOutput)
	out.add("own sockets", matchMark(p.OwnMark, p.MarkMask), leave())
	out.add("this machine", matchDestType("local"), leave())
	rest(pr.narrow(out, p, true))
	pr.chains = append(pr.chains, out)
}

// matchUDPPort matches the destination port of datagrams.
func matchUDPPort(port uint16, neg bool) fragment {
	o, s := op(neg)
	return fragment{fmt.Sprintf("udp dport %s%d", s, port), append(matchL4(unix.IPPROTO_UDP, false).exprs,
		loadDport(regA),
		&expr.Cmp{Op: o, Register: regA, Data: binary.BigEndian.AppendUint16(nil, port)},
	)}
}

// rejectPort answers with ICMP or ICMPv6, port unreachable.
func rejectPort() fragment {
	return fragment{"reject with icmpx port-unreachable", []expr.Any{
		&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH},
	}}
}
