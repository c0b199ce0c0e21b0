package survey

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Actions of policy rules (linux/fib_rules.h).
const (
	ActionTable       = 1 // FR_ACT_TO_TBL
	ActionGoto        = 2
	ActionNop         = 3
	ActionBlackhole   = 6
	ActionUnreachable = 7
	ActionProhibit    = 8
)

// Protocol is what our own policy rules and routes carry (proxy/intercept).
const Protocol = 87

// A PolicyRule is one `ip rule`.
type PolicyRule struct {
	V6         bool
	Priority   int
	Action     uint8
	Table      int
	Goto       int // priority of the rule to go on with, for ActionGoto
	Invert     bool
	Mark, Mask uint32
	Iif, Oif   string
	Src, Dst   netip.Prefix
	NoDefault  bool // suppress_prefixlength 0: default routes of the table do not count
	Other      bool // looks at more than these fields: users, ports, protocols
	Protocol   uint8
	VRF        bool // l3mdev: the table is that of the packet's VRF
}

// Attributes of policy rules (linux/fib_rules.h).
const (
	fraDst = 1 + iota
	fraSrc
	fraIif
	fraGoto
	_
	fraPriority
	fraFwmark         = 10
	fraSuppressPrefix = 14
	fraTable          = 15
	fraFwmask         = 16
	fraOif            = 17
	fraL3mdev         = 19
	fraUIDRange       = 20
	fraProtocol       = 21
	fraIPProto        = 22
	fraSport          = 23
	fraDport          = 24

	fibRuleInvert = 2
	fibRuleLen    = 12 // struct fib_rule_hdr
)

// PolicyRules lists the policy rules of both families, in the order in which the
// kernel asks them.
func PolicyRules() ([]PolicyRule, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, fmt.Errorf("open route netlink socket: %w", err)
	}
	defer func() { _ = c.Close() }()
	var out []PolicyRule
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		b := make([]byte, fibRuleLen)
		b[0] = family
		msgs, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: unix.RTM_GETRULE, Flags: netlink.Request | netlink.Dump}, Data: b,
		})
		if err != nil {
			return nil, fmt.Errorf("list policy rules: %w", err)
		}
		for _, m := range msgs {
			if r, ok := decodeRule(m.Data); ok {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

// decodeRule reads a struct fib_rule_hdr and its attributes; false is one that is
// not understood.
func decodeRule(b []byte) (r PolicyRule, ok bool) {
	if len(b) < fibRuleLen {
		return r, false
	}
	r.V6, r.Table, r.Action = b[0] == unix.AF_INET6, int(b[4]), b[7]
	r.Invert = binary.NativeEndian.Uint32(b[8:])&fibRuleInvert != 0
	r.Other = b[3] != 0 // TOS
	attrs, err := netlink.UnmarshalAttributes(b[fibRuleLen:])
	if err != nil {
		return r, false
	}
	masked := false
	for _, a := range attrs {
		var n uint32
		if len(a.Data) >= 4 {
			n = binary.NativeEndian.Uint32(a.Data)
		}
		switch a.Type {
		case fraDst:
			r.Dst = prefix(a.Data, b[1])
		case fraSrc:
			r.Src = prefix(a.Data, b[2])
		case fraIif:
			r.Iif = text(a.Data)
		case fraOif:
			r.Oif = text(a.Data)
		case fraGoto:
			r.Goto = int(n)
		case fraPriority:
			r.Priority = int(n)
		case fraFwmark:
			r.Mark = n
		case fraFwmask:
			r.Mask, masked = n, true
		case fraTable:
			r.Table = int(n)
		case fraSuppressPrefix:
			r.NoDefault = n == 0
		case fraL3mdev:
			r.VRF = len(a.Data) > 0 && a.Data[0] != 0
		case fraProtocol:
			if len(a.Data) > 0 {
				r.Protocol = a.Data[0]
			}
		case fraUIDRange, fraIPProto, fraSport, fraDport:
			r.Other = true
		}
	}
	if !masked && r.Mark != 0 {
		r.Mask = 0xffffffff
	}
	return r, true
}

func text(b []byte) string { return strings.TrimRight(string(b), "\x00") }

func prefix(b []byte, bits uint8) netip.Prefix {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, int(bits))
}

// Catches tells whether the rule decides about every packet that carries the
// mark: it looks at nothing else, and does not hand on.
func (r *PolicyRule) Catches(mark uint32) bool {
	if r.Action == ActionNop || r.Action == ActionGoto || r.Invert || r.Other || r.VRF || r.Src.IsValid() || r.Dst.IsValid() || r.Iif != "" || r.Oif != "" {
		return false
	}
	return mark&r.Mask == r.Mark
}

// String is the rule as ip(8) writes it.
func (r *PolicyRule) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d:", r.Priority)
	if r.Invert {
		b.WriteString(" not")
	}
	from := "all"
	if r.Src.IsValid() {
		from = r.Src.String()
	}
	b.WriteString(" from " + from)
	if r.Dst.IsValid() {
		b.WriteString(" to " + r.Dst.String())
	}
	if r.Mark != 0 || r.Mask != 0 {
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.Mark, r.Mask)
	}
	if r.Iif != "" {
		b.WriteString(" iif " + r.Iif)
	}
	if r.Oif != "" {
		b.WriteString(" oif " + r.Oif)
	}
	switch r.Action {
	case ActionGoto:
		fmt.Fprintf(&b, " goto %d", r.Goto)
	case ActionNop:
		b.WriteString(" nop")
	case ActionBlackhole:
		b.WriteString(" blackhole")
	case ActionUnreachable:
		b.WriteString(" unreachable")
	case ActionProhibit:
		b.WriteString(" prohibit")
	default:
		fmt.Fprintf(&b, " lookup %d", r.Table)
	}
	return b.String()
}
