package intercept

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ObserveMarks tells what others than Weir do with the packet mark in the network
// namespace of the calling thread: by policy rules, by nftables in any family
// (iptables-nft is there too), and, where iptables-legacy has tables and is
// installed, by what its iptables-save prints.
func ObserveMarks() ([]MarkUse, error) {
	nf, err := dialNF()
	if err != nil {
		return nil, err
	}
	defer nf.close()
	rt, err := dialRT()
	if err != nil {
		return nil, err
	}
	defer rt.close()
	out, err := observeMarks(nf, rt)
	if err != nil {
		return nil, err
	}
	return append(out, legacyMarks(nf)...), nil
}

// CheckMarks compares a plan with what others do with the packet mark in the
// network namespace of the calling thread.
func CheckMarks(p Plan) ([]MarkConflict, error) {
	uses, err := ObserveMarks()
	return MarkConflicts(p, uses), err
}

// checkMarks refuses a plan whose marks others take for their own.
func (h *Handle) checkMarks() error {
	nf, err := dialNF()
	if err != nil {
		return err
	}
	defer nf.close()
	uses, err := observeMarks(nf, h.rt)
	if err != nil {
		return err
	}
	return refused(MarkConflicts(h.plan, uses))
}

// observeMarks is ObserveMarks without running a program.
func observeMarks(nf *nfConn, rt *rtConn) ([]MarkUse, error) {
	var out []MarkUse
	for _, v6 := range []bool{false, true} {
		rules, err := rt.rules(v6)
		if err != nil {
			return nil, err
		}
		for _, r := range rules {
			if r.Protocol == protocol || r.Mark == 0 && r.Mask == nil {
				continue
			}
			u := MarkUse{Value: r.Mark, Mask: 0xffffffff, Priority: r.Priority, Not: r.Invert, Where: fmt.Sprintf("ip rule %d", r.Priority)}
			if r.Mask != nil {
				u.Mask = *r.Mask
			}
			out = addUse(out, u)
		}
	}
	for _, f := range []struct {
		num  uint8
		name string
	}{{unix.NFPROTO_INET, "inet"}, {unix.NFPROTO_IPV4, "ip"}, {unix.NFPROTO_IPV6, "ip6"}} {
		err := nf.listOf(f.num, unix.NFT_MSG_GETRULE, func(ad *netlink.AttributeDecoder) error {
			var table, chain string
			var exprs []byte
			for ad.Next() {
				switch ad.Type() {
				case unix.NFTA_RULE_TABLE:
					table = ad.String()
				case unix.NFTA_RULE_CHAIN:
					chain = ad.String()
				case unix.NFTA_RULE_EXPRESSIONS:
					exprs = ad.Bytes()
				}
			}
			if strings.HasPrefix(table, tablePrefix) || strings.HasPrefix(table, closedPrefix) || strings.HasPrefix(chain, tablePrefix) {
				return ad.Err()
			}
			for _, u := range marksOf(exprs) {
				u.Where = fmt.Sprintf("nft %s %s %s", f.name, table, chain)
				out = addUse(out, u)
			}
			return ad.Err()
		})
		if err != nil {
			return nil, fmt.Errorf("list rules of nftables: %w", err)
		}
	}
	return out, nil
}

// addUse adds a use that is not there yet: both families often have the same.
func addUse(list []MarkUse, u MarkUse) []MarkUse {
	if slices.Contains(list, u) {
		return list
	}
	return append(list, u)
}

// Numbers of the mark's expressions that golang.org/x/sys lacks.
const (
	xtMarkSet   = "MARK" // xt_mark's target, revision 2: struct xt_mark_tginfo2
	xtMarkMatch = "mark" // its match, revision 1: struct xt_mark_mtinfo1
)

// A register of nftables, as far as the packet mark is in it.
type markReg struct {
	loaded    bool
	mask, xor uint32 // of a bitwise operation after the load
}

// marksOf finds the uses of the packet mark in an encoded list of expressions. What
// it does not know it passes over.
func marksOf(exprs []byte) (out []MarkUse) {
	names, data, err := splitExprs(exprs)
	if err != nil {
		return nil
	}
	regs := map[uint32]markReg{}
	for i, name := range names {
		a := attributes(data[i])
		switch name {
		case "meta":
			if a.u32(unix.NFTA_META_KEY) != unix.NFT_META_MARK {
				delete(regs, a.u32(unix.NFTA_META_DREG))
				continue
			}
			if sreg := a.u32(unix.NFTA_META_SREG); sreg != 0 {
				r, known := regs[sreg]
				switch {
				case known && r.loaded: // mark = mark & mask ^ xor
					out = append(out, MarkUse{Value: r.xor, Mask: ^r.mask | r.xor, Sets: true})
				case known:
					out = append(out, MarkUse{Value: r.xor, Mask: 0xffffffff, Sets: true})
				default: // from elsewhere, such as ct mark
					out = append(out, MarkUse{Mask: 0xffffffff, Sets: true})
				}
				continue
			}
			regs[a.u32(unix.NFTA_META_DREG)] = markReg{loaded: true, mask: 0xffffffff}
		case "immediate":
			if v, ok := a.value(unix.NFTA_IMMEDIATE_DATA); ok {
				regs[a.u32(unix.NFTA_IMMEDIATE_DREG)] = markReg{xor: v}
			}
		case "bitwise":
			src, dst := a.u32(unix.NFTA_BITWISE_SREG), a.u32(unix.NFTA_BITWISE_DREG)
			r, known := regs[src]
			mask, ok1 := a.value(unix.NFTA_BITWISE_MASK)
			xor, ok2 := a.value(unix.NFTA_BITWISE_XOR)
			if !known || !r.loaded || !ok1 || !ok2 {
				delete(regs, dst)
				continue
			}
			regs[dst] = markReg{loaded: true, mask: r.mask & mask, xor: r.xor&mask ^ xor}
		case "cmp":
			r, known := regs[a.u32(unix.NFTA_CMP_SREG)]
			v, ok := a.value(unix.NFTA_CMP_DATA)
			if !known || !r.loaded || !ok || r.xor != 0 {
				continue
			}
			op := a.u32(unix.NFTA_CMP_OP)
			if op == unix.NFT_CMP_EQ || op == unix.NFT_CMP_NEQ {
				out = append(out, MarkUse{Value: v, Mask: r.mask, Not: op == unix.NFT_CMP_NEQ})
			}
		case "match", "target":
			out = append(out, xtMark(name, a)...)
		default:
			if d := a.u32(1); d != 0 { // a load of something else, mostly into its first attribute
				delete(regs, d)
			}
		}
	}
	return out
}

// xtMark reads the match or target of iptables-nft.
func xtMark(kind string, a attrs) []MarkUse {
	// Match and target number their attributes alike: name, revision, info.
	name := strings.TrimRight(string(a[unix.NFTA_MATCH_NAME]), "\x00")
	info := a[unix.NFTA_MATCH_INFO]
	if len(info) < 8 {
		return nil
	}
	mark, mask := binary.NativeEndian.Uint32(info), binary.NativeEndian.Uint32(info[4:])
	switch {
	case kind == "target" && name == xtMarkSet:
		return []MarkUse{{Value: mark, Mask: mask | mark, Sets: true}}
	case kind == "match" && name == xtMarkMatch:
		return []MarkUse{{Value: mark, Mask: mask, Not: len(info) > 8 && info[8] != 0}}
	}
	return nil
}

// attrs are attributes by their number.
type attrs map[uint16][]byte

func attributes(b []byte) attrs {
	out := attrs{}
	ad, err := decoder(b)
	if err != nil {
		return out
	}
	for ad.Next() {
		out[ad.Type()] = ad.Bytes()
	}
	return out
}

// u32 is a number, 0 without one.
func (a attrs) u32(typ uint16) uint32 {
	if b := a[typ]; len(b) == 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// value is data of four bytes, in this machine's byte order.
func (a attrs) value(typ uint16) (uint32, bool) {
	b, ok := a[typ]
	if !ok {
		return 0, false
	}
	if v := attributes(b)[unix.NFTA_DATA_VALUE]; len(v) == 4 {
		return binary.NativeEndian.Uint32(v), true
	}
	return 0, false
}

// legacyMarks are those of iptables-legacy; without it, or without tables of it,
// none.
func legacyMarks(nf *nfConn) (out []MarkUse) {
	tool, err := findTool(IPTablesLegacy)
	if err != nil {
		return nil
	}
	for _, v6 := range []bool{false, true} {
		places, err := iptPlaces(nf, true, v6)
		if err != nil || len(places) == 0 {
			continue
		}
		text, err := tool.run("", v6, "save")
		if err != nil {
			continue
		}
		for _, u := range savedMarks(text) {
			out = addUse(out, u)
		}
	}
	return out
}

// savedMarks finds the uses of the packet mark in what iptables-save prints.
func savedMarks(text string) (out []MarkUse) {
	for _, t := range parseSave(text) {
		note := func(chain string, r iptRule) {
			if strings.HasPrefix(chain, tablePrefix) {
				return
			}
			for _, u := range markWords(r.words) {
				u.Where = fmt.Sprintf("iptables %s %s", t.name, chain)
				out = addUse(out, u)
			}
		}
		for _, c := range t.chains {
			for _, r := range c.rules {
				note(c.name, r)
			}
		}
		for _, r := range t.jumps {
			note(r.chain, r)
		}
	}
	return out
}

// markWords finds the uses of the packet mark in a rule's words: of the matches
// mark, not connmark, and of the target MARK.
func markWords(w []string) (out []MarkUse) {
	match, target := "", ""
	for i := 0; i+1 < len(w); i++ {
		switch w[i] {
		case "-m":
			match = w[i+1]
		case "-j":
			target = w[i+1]
		case "--mark":
			if match == "mark" {
				if v, m, ok := valueMask(w[i+1]); ok {
					out = append(out, MarkUse{Value: v, Mask: m, Not: i > 0 && w[i-1] == "!"})
				}
			}
		case "--set-xmark", "--set-mark":
			if target == "MARK" {
				if v, m, ok := valueMask(w[i+1]); ok {
					out = append(out, MarkUse{Value: v, Mask: m | v, Sets: true})
				}
			}
		}
	}
	return out
}

// valueMask reads value/mask as iptables-save prints it.
func valueMask(s string) (value, mask uint32, ok bool) {
	a, b, masked := strings.Cut(s, "/")
	v, err1 := strconv.ParseUint(a, 0, 32)
	m := uint64(0xffffffff)
	var err2 error
	if masked {
		m, err2 = strconv.ParseUint(b, 0, 32)
	}
	return uint32(v), uint32(m), err1 == nil && err2 == nil
}
