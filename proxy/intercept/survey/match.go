package survey

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// answer is whether a rule matches a packet that is known in part.
type answer uint8

const (
	no answer = iota
	maybe
	yes
)

// verdict is what a rule says when it matches.
type verdict struct {
	what      string // "", "continue", "accept", "jump", "goto", "return", "unknown", or what becomes of the packet
	chain     string
	setsMark  bool
	mark      uint32
	markKnown bool
}

// ctNew is `ct state new` (NF_CT_STATE_BIT(IP_CT_NEW), linux/netfilter/nf_conntrack_common.h).
const ctNew = 8

// registers hold what the expressions of a rule have loaded; an absent one is not known.
type registers map[uint32][]byte

// norm maps the 4-byte registers' numbers to those of 16 bytes they begin.
func norm(r uint32) uint32 {
	if r >= unix.NFT_REG32_00 && (r-unix.NFT_REG32_00)%4 == 0 {
		return (r-unix.NFT_REG32_00)/4 + unix.NFT_REG_1
	}
	return r
}

// rule asks the expressions of a rule in turn.
func (w *walk) rule(c *Chain, r *rule) (answer, verdict) {
	regs, match := registers{}, yes
	var v verdict
	switch {
	case r.tproxy:
		v.what = Stolen
	case r.unread:
		match = maybe
	}
	must := func(a answer) bool {
		match = min(match, a)
		return a != no
	}
	load := func(reg uint32, b []byte) {
		if b == nil {
			delete(regs, norm(reg))
		} else {
			regs[norm(reg)] = b
		}
	}
	for _, e := range r.exprs {
		ok := true
		switch e := e.(type) {
		case *expr.Counter, *expr.Log, *expr.Notrack, *expr.Objref, *expr.FlowOffload, *expr.Dup:
		case *expr.Meta:
			if e.SourceRegister {
				if e.Key == expr.MetaKeyMARK {
					b := regs[norm(e.Register)]
					v.setsMark, v.markKnown = true, len(b) >= 4
					if v.markKnown {
						v.mark = binary.NativeEndian.Uint32(b)
					}
				}
				continue
			}
			load(e.Register, w.meta(e.Key))
		case *expr.Payload:
			load(e.DestRegister, w.payload(e))
		case *expr.Ct:
			load(e.Register, nil)
			if e.Key == expr.CtKeySTATE && !e.SourceRegister {
				load(e.Register, native(ctNew))
			}
		case *expr.Immediate:
			load(e.Register, e.Data)
		case *expr.Bitwise:
			load(e.DestRegister, bitwise(regs[norm(e.SourceRegister)], e.Mask, e.Xor))
		case *expr.Cmp:
			ok = must(compare(regs[norm(e.Register)], e))
		case *expr.Range:
			ok = must(within(regs[norm(e.Register)], e))
		case *expr.Lookup:
			a, x := lookup(regs[norm(e.SourceRegister)], e, c.sets[e.SetName])
			if ok = must(a); ok && e.IsDestRegSet {
				if x.what != "" {
					return match, x
				}
				load(e.DestRegister, nil)
			}
		case *expr.Match:
			ok = must(w.xtMatch(e))
		case *expr.Target:
			if x := w.xtTarget(e); x.what != "" || x.setsMark {
				v = x
			}
		case *expr.Verdict:
			if v.what != Stolen { // what comes after tproxy belongs to it
				v.what, v.chain = verdictOf(e), e.Chain
			}
		case *expr.Reject:
			v.what = Dropped
		case *expr.Redir:
			v.what = Redirect
		case *expr.NAT:
			v.what = "accept"
			if e.Type == expr.NATTypeDestNAT {
				v.what = Redirect
			}
		case *expr.Masq:
			v.what = "accept"
		case *expr.Queue:
			v.what = "unknown"
		default: // limits, quotas, fib, numgen, …: what they say is not known
			match = min(match, maybe)
			clear(regs)
		}
		if !ok {
			return no, v
		}
	}
	return match, v
}

// native is a number as the kernel keeps it in a register.
func native(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func (w *walk) meta(k expr.MetaKey) []byte {
	ifname := func(s string) []byte {
		if s == "" {
			return nil
		}
		return append([]byte(s), make([]byte, unix.IFNAMSIZ-len(s))...)
	}
	switch k {
	case expr.MetaKeyMARK:
		if w.marked {
			return native(w.mark)
		}
	case expr.MetaKeyIIFNAME:
		return ifname(w.p.Iif)
	case expr.MetaKeyOIFNAME:
		return ifname(w.p.Oif)
	case expr.MetaKeyL4PROTO:
		return []byte{unix.IPPROTO_TCP}
	case expr.MetaKeyNFPROTO:
		if w.p.V6 {
			return []byte{unix.NFPROTO_IPV6}
		}
		return []byte{unix.NFPROTO_IPV4}
	case expr.MetaKeyPROTOCOL:
		if w.p.V6 {
			return []byte{0x86, 0xdd}
		}
		return []byte{0x08, 0x00}
	}
	return nil
}

// synFlag is the flag of a connection's first packet (RFC 9293 §3.1).
const synFlag = 0x02

func (w *walk) payload(e *expr.Payload) []byte {
	switch {
	case e.OperationType != expr.PayloadLoad:
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 2 && e.Len == 2 && w.p.Port != 0:
		return binary.BigEndian.AppendUint16(nil, w.p.Port)
	case e.Base == expr.PayloadBaseTransportHeader && e.Offset == 13 && e.Len == 1:
		return []byte{synFlag}
	case e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 9 && e.Len == 1 && !w.p.V6,
		e.Base == expr.PayloadBaseNetworkHeader && e.Offset == 6 && e.Len == 1 && w.p.V6:
		return []byte{unix.IPPROTO_TCP}
	}
	return nil
}

func bitwise(b, mask, xor []byte) []byte {
	if b == nil || len(b) < len(mask) || len(xor) < len(mask) {
		return nil
	}
	out := make([]byte, len(mask))
	for i := range mask {
		out[i] = b[i]&mask[i] ^ xor[i]
	}
	return out
}

func is(b bool) answer {
	if b {
		return yes
	}
	return no
}

func compare(b []byte, e *expr.Cmp) answer {
	if len(b) < len(e.Data) || b == nil {
		return maybe
	}
	c := bytes.Compare(b[:len(e.Data)], e.Data)
	switch e.Op {
	case expr.CmpOpEq:
		return is(c == 0)
	case expr.CmpOpNeq:
		return is(c != 0)
	case expr.CmpOpLt:
		return is(c < 0)
	case expr.CmpOpLte:
		return is(c <= 0)
	case expr.CmpOpGt:
		return is(c > 0)
	case expr.CmpOpGte:
		return is(c >= 0)
	}
	return maybe
}

func within(b []byte, e *expr.Range) answer {
	n := len(e.FromData)
	if b == nil || len(b) < n || len(e.ToData) != n {
		return maybe
	}
	in := bytes.Compare(b[:n], e.FromData) >= 0 && bytes.Compare(b[:n], e.ToData) <= 0
	return is(in == (e.Op == expr.CmpOpEq))
}

// lookup looks a value up in a set, or in a map of verdicts.
func lookup(b []byte, e *expr.Lookup, s *elements) (answer, verdict) {
	if b == nil || s == nil || s.concat {
		return maybe, verdict{what: unknownIf(e.IsDestRegSet)}
	}
	var hit *nftables.SetElement
	for i := range s.elems {
		x := &s.elems[i]
		n := min(len(b), len(x.Key))
		switch c := bytes.Compare(x.Key[:n], b[:n]); {
		case !s.interval && c == 0 && !x.IntervalEnd:
			hit = x
		case s.interval && c <= 0:
			if hit = x; x.IntervalEnd {
				hit = nil
			}
		}
	}
	if (hit == nil) != e.Invert {
		return no, verdict{}
	}
	if hit == nil || !e.IsDestRegSet || e.DestRegister != unix.NFT_REG_VERDICT {
		return yes, verdict{}
	}
	return yes, elementVerdict(hit.Val)
}

// elementVerdict reads the verdict that a map has for a key, which the library
// gives as encoded.
func elementVerdict(b []byte) verdict {
	attrs, err := netlink.UnmarshalAttributes(b)
	if err != nil {
		return verdict{what: "unknown"}
	}
	x := expr.Verdict{Kind: math.MinInt64}
	for _, a := range attrs {
		switch {
		case a.Type == unix.NFTA_VERDICT_CODE && len(a.Data) == 4:
			x.Kind = expr.VerdictKind(int32(binary.BigEndian.Uint32(a.Data)))
		case a.Type == unix.NFTA_VERDICT_CHAIN:
			x.Chain = text(a.Data)
		}
	}
	return verdict{what: verdictOf(&x), chain: x.Chain}
}

func unknownIf(b bool) string {
	if b {
		return "unknown"
	}
	return ""
}

func verdictOf(v *expr.Verdict) string {
	switch v.Kind {
	case expr.VerdictAccept, expr.VerdictStop:
		return "accept"
	case expr.VerdictDrop:
		return Dropped
	case expr.VerdictJump:
		return "jump"
	case expr.VerdictGoto:
		return "goto"
	case expr.VerdictReturn:
		return "return"
	case expr.VerdictContinue, expr.VerdictBreak:
		return "continue"
	}
	return "unknown"
}

// xtMatch asks a match of iptables.
func (w *walk) xtMatch(e *expr.Match) answer {
	switch info := e.Info.(type) {
	case *xt.Comment:
		return yes
	case *xt.Tcp:
		if info.InvFlags != 0 || info.Option != 0 || info.SrcPorts != [2]uint16{0, 0xffff} {
			return maybe
		}
		if info.FlagsMask&synFlag != 0 && info.FlagsCmp != synFlag&info.FlagsMask {
			return no
		}
		if w.p.Port == 0 && info.DstPorts != [2]uint16{0, 0xffff} {
			return maybe
		}
		return is(w.p.Port >= info.DstPorts[0] && w.p.Port <= info.DstPorts[1])
	case *xt.Udp:
		return no
	case *xt.ConntrackMtinfo3:
		if xt.ConntrackFlags(info.MatchFlags) != xt.ConntrackState {
			return maybe
		}
		// State bits of xtables: INVALID 1, then 1<<(ctinfo+1); NEW is 8 as in nft.
		return is((info.StateMask&ctNew != 0) == (info.InvertFlags&uint16(xt.ConntrackState) == 0))
	case *xt.Unknown:
		if e.Name == "mark" && len(*info) >= 9 && w.marked { // struct xt_mark_mtinfo1: mark, mask, invert
			mark, mask := binary.NativeEndian.Uint32(*info), binary.NativeEndian.Uint32((*info)[4:])
			return is((w.mark&mask == mark) == ((*info)[8] == 0))
		}
		if e.Name == "comment" {
			return yes
		}
	}
	return maybe
}

// xtTarget reads a target of iptables.
func (w *walk) xtTarget(e *expr.Target) verdict {
	switch e.Name {
	case "REJECT", "DROP":
		return verdict{what: Dropped}
	case "REDIRECT", "DNAT":
		return verdict{what: Redirect}
	case "TPROXY":
		return verdict{what: Stolen}
	case "SNAT", "MASQUERADE":
		return verdict{what: "accept"}
	case "MARK":
		v := verdict{setsMark: true}
		if info, ok := e.Info.(*xt.Unknown); ok && e.Rev == 2 && len(*info) >= 8 && w.marked { // struct xt_mark_tginfo2: mark, mask
			mark, mask := binary.NativeEndian.Uint32(*info), binary.NativeEndian.Uint32((*info)[4:])
			v.mark, v.markKnown = w.mark&^mask^mark, true
		}
		return v
	case "CONNMARK": // the mark of the connection is not known
		return verdict{setsMark: true}
	case "NFQUEUE":
		return verdict{what: "unknown"}
	}
	return verdict{}
}

// legacy lists the tables of legacy iptables that have been loaded.
func legacy() (out []string) {
	for _, name := range []string{"ip_tables_names", "ip6_tables_names"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + name)
		if err != nil {
			continue
		}
		for _, t := range strings.Fields(string(b)) {
			out = append(out, strings.TrimSuffix(name, "_tables_names")+" "+t)
		}
	}
	return out
}
