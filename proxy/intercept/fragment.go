package intercept

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// fragment is a piece of a rule: nft's text and the kernel's expressions, made
// together so that they cannot differ.
type fragment struct {
	text  string
	exprs []expr.Any
}

// The registers that fragments use. The kernel shows the 16-byte registers by
// their old names, so the second field of a concatenation starts at reg32[1]
// after an IPv4 address and at the second big register after an IPv6 one.
const (
	regA        = unix.NFT_REG_1
	regAfterIP4 = unix.NFT_REG32_01
	regAfterIP6 = unix.NFT_REG_2
)

// Offsets and values of the protocol headers.
const (
	ip4DaddrOffset  = 16   // RFC 791 §3.1
	ip6DaddrOffset  = 24   // RFC 8200 §3
	dportOffset     = 2    // RFC 9293 §3.1, RFC 768
	tcpFlagsOffset  = 13   // RFC 9293 §3.1
	tcpFlagsOfAnSYN = 0x02 // SYN alone among the flags of tcpFlagsMask
	tcpFlagsMask    = 0x17 // FIN, SYN, RST, ACK
)

func hostU32(v uint32) []byte { return binary.NativeEndian.AppendUint32(nil, v) }

func op(neg bool) (expr.CmpOp, string) {
	if neg {
		return expr.CmpOpNeq, "!= "
	}
	return expr.CmpOpEq, ""
}

func matchL4TCP(neg bool) fragment { return matchL4(unix.IPPROTO_TCP, neg) }

// matchL4 matches the transport protocol, TCP or UDP.
func matchL4(proto byte, neg bool) fragment {
	o, s := op(neg)
	return fragment{"meta l4proto " + s + l4Name(proto), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: regA},
		&expr.Cmp{Op: o, Register: regA, Data: []byte{proto}},
	}}
}

func l4Name(proto byte) string {
	if proto == unix.IPPROTO_UDP {
		return "udp"
	}
	return "tcp"
}

// matchFamily matches packets of one IP version.
func matchFamily(v6 bool) fragment {
	proto, s := byte(unix.NFPROTO_IPV4), "ipv4"
	if v6 {
		proto, s = unix.NFPROTO_IPV6, "ipv6"
	}
	return fragment{"meta nfproto " + s, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: []byte{proto}},
	}}
}

// matchNotSYN matches TCP packets other than the first of a connection.
func matchNotSYN() fragment {
	f := matchL4TCP(false)
	return fragment{"tcp flags & (fin | syn | rst | ack) != syn", append(f.exprs,
		&expr.Payload{DestRegister: regA, Base: expr.PayloadBaseTransportHeader, Offset: tcpFlagsOffset, Len: 1},
		&expr.Bitwise{SourceRegister: regA, DestRegister: regA, Len: 1, Mask: []byte{tcpFlagsMask}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: regA, Data: []byte{tcpFlagsOfAnSYN}},
	)}
}

func matchIngress(name string) fragment {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return fragment{fmt.Sprintf("iifname %q", name), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: regA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: padded},
	}}
}

// matchMark matches the bits of the packet mark that are ours.
func matchMark(mark, mask uint32) fragment {
	return fragment{fmt.Sprintf("meta mark & 0x%08x == 0x%08x", mask, mark), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regA},
		&expr.Bitwise{SourceRegister: regA, DestRegister: regA, Len: 4, Mask: hostU32(mask), Xor: hostU32(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: hostU32(mark)},
	}}
}

// setMark sets our bits of the packet mark and keeps the others.
func setMark(mark, mask uint32) fragment {
	return fragment{fmt.Sprintf("meta mark set meta mark & 0x%08x | 0x%08x", ^mask, mark), []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: regA},
		&expr.Bitwise{SourceRegister: regA, DestRegister: regA, Len: 4, Mask: hostU32(^mask), Xor: hostU32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: regA},
	}}
}

// matchConnMark matches packets that the opener of a marked connection sends.
func matchConnMark(mark, mask uint32) fragment {
	return fragment{fmt.Sprintf("ct direction original ct mark & 0x%08x == 0x%08x", mask, mark), []expr.Any{
		&expr.Ct{Key: expr.CtKeyDIRECTION, Register: regA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: []byte{0}},
		&expr.Ct{Key: expr.CtKeyMARK, Register: regA},
		&expr.Bitwise{SourceRegister: regA, DestRegister: regA, Len: 4, Mask: hostU32(mask), Xor: hostU32(0)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: hostU32(mark)},
	}}
}

// setConnMark sets our bits of the connection's mark and keeps the others.
func setConnMark(mark, mask uint32) fragment {
	return fragment{fmt.Sprintf("ct mark set ct mark & 0x%08x | 0x%08x", ^mask, mark), []expr.Any{
		&expr.Ct{Key: expr.CtKeyMARK, Register: regA},
		&expr.Bitwise{SourceRegister: regA, DestRegister: regA, Len: 4, Mask: hostU32(^mask), Xor: hostU32(mark)},
		&expr.Ct{Key: expr.CtKeyMARK, SourceRegister: true, Register: regA},
	}}
}

// matchDestType matches the routing type of the destination: "local" or "broadcast".
func matchDestType(name string) fragment {
	typ := uint32(unix.RTN_LOCAL)
	if name == "broadcast" {
		typ = unix.RTN_BROADCAST
	}
	return fragment{"fib daddr type " + name, []expr.Any{
		&expr.Fib{Register: regA, ResultADDRTYPE: true, FlagDADDR: true},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: hostU32(typ)},
	}}
}

// matchSocket matches packets that belong to a transparent socket: established,
// in a handshake, or in TIME_WAIT.
func matchSocket() fragment {
	return fragment{"socket transparent 1", []expr.Any{
		&expr.Socket{Key: expr.SocketKeyTransparent, Register: regA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: []byte{1}},
	}}
}

// matchListener matches packets to a port whose socket is a wildcard listener:
// there is no connection. (A connection in its handshake or in TIME_WAIT has no
// wildcard property: the kernel ends the rule there.)
func matchListener(port uint16) fragment {
	return fragment{fmt.Sprintf("tcp dport %d socket wildcard 1", port), append(matchL4TCP(false).exprs,
		loadDport(regA),
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Socket{Key: expr.SocketKeyWildcard, Register: regA},
		&expr.Cmp{Op: expr.CmpOpEq, Register: regA, Data: []byte{1}},
	)}
}

// matchDaddr matches the destination address against a set.
func matchDaddr(s *set, neg bool) fragment {
	v6 := s.kind == kindIP6
	_, not := op(neg)
	word := "ip"
	if v6 {
		word = "ip6"
	}
	return fragment{word + " daddr " + not + "@" + s.name, append(matchFamily(v6).exprs,
		loadDaddr(v6),
		&expr.Lookup{SourceRegister: regA, SetName: s.name, SetID: s.id, Invert: neg},
	)}
}

// matchDport matches the destination port against a set.
func matchDport(s *set, neg bool) fragment {
	_, not := op(neg)
	return fragment{"tcp dport " + not + "@" + s.name, append(matchL4TCP(false).exprs,
		loadDport(regA),
		&expr.Lookup{SourceRegister: regA, SetName: s.name, SetID: s.id, Invert: neg},
	)}
}

// matchEndpoint matches destination address and port against a set of pairs.
func matchEndpoint(s *set, proto byte) fragment {
	v6 := s.kind == kindEndpoint6
	word, second := "ip", uint32(regAfterIP4)
	if v6 {
		word, second = "ip6", regAfterIP6
	}
	exprs := append(matchFamily(v6).exprs, matchL4(proto, false).exprs...)
	return fragment{word + " daddr . " + l4Name(proto) + " dport @" + s.name, append(exprs,
		loadDaddr(v6),
		loadDport(second),
		&expr.Lookup{SourceRegister: regA, SetName: s.name, SetID: s.id},
	)}
}

func loadDaddr(v6 bool) expr.Any {
	offset, size := uint32(ip4DaddrOffset), uint32(4)
	if v6 {
		offset, size = ip6DaddrOffset, 16
	}
	return &expr.Payload{DestRegister: regA, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: size}
}

func loadDport(reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: dportOffset, Len: 2}
}

// tproxyTo gives the packet to the transparent listener on port, of the packet's
// own family; with no listener the rule ends here without a verdict.
func tproxyTo(port uint16) fragment {
	return fragment{fmt.Sprintf("meta l4proto tcp tproxy to :%d", port), append(matchL4TCP(false).exprs,
		&expr.Immediate{Register: regA, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.TProxy{Family: unix.NFPROTO_UNSPEC, TableFamily: unix.NFPROTO_INET, RegPort: regA},
	)}
}

// redirectTo rewrites the destination to a port of this machine.
func redirectTo(port uint16) fragment {
	return fragment{fmt.Sprintf("meta l4proto tcp counter redirect to :%d", port), append(matchL4TCP(false).exprs,
		&expr.Counter{},
		&expr.Immediate{Register: regA, Data: binary.BigEndian.AppendUint16(nil, port)},
		&expr.Redir{RegisterProtoMin: regA},
	)}
}

// matchNoLease matches packets of an IP version for which nobody holds the lease.
func matchNoLease(s *set) fragment {
	return fragment{"meta nfproto != @" + s.name, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: regA},
		&expr.Lookup{SourceRegister: regA, SetName: s.name, SetID: s.id, Invert: true},
	}}
}

func count() fragment { return fragment{"counter", []expr.Any{&expr.Counter{}}} }

func verdict(kind expr.VerdictKind, text, chain string) fragment {
	return fragment{strings.TrimSpace(text + " " + chain), []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}}
}

func accept() fragment           { return verdict(expr.VerdictAccept, "accept", "") }
func drop() fragment             { return verdict(expr.VerdictDrop, "drop", "") }
func leave() fragment            { return verdict(expr.VerdictReturn, "return", "") }
func goTo(chain string) fragment { return verdict(expr.VerdictGoto, "goto", chain) }
