package intercept

import (
	"encoding/binary"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes and flags that golang.org/x/sys lacks (linux/netfilter/nf_tables.h).
const (
	tableFlagOwner    = 0x2 // NFT_TABLE_F_OWNER, Linux 5.12
	attrTableUserdata = 6   // NFTA_TABLE_USERDATA, Linux 5.10
	attrTableOwner    = 7   // NFTA_TABLE_OWNER
	attrSetDescConcat = 2   // NFTA_SET_DESC_CONCAT
	attrSetFieldLen   = 1   // NFTA_SET_FIELD_LEN
	setFlagConcat     = 0x80
)

// elemsPerMessage keeps the list of a set's elements, at most 36 bytes each,
// within the 16-bit length of a netlink attribute.
const elemsPerMessage = 1000

// attr makes a plain attribute, nest one that holds others.
func attr(typ uint16, data []byte) netlink.Attribute { return netlink.Attribute{Type: typ, Data: data} }

func attrString(typ uint16, s string) netlink.Attribute {
	return attr(typ, append([]byte(s), 0))
}

func attrU32(typ uint16, v uint32) netlink.Attribute {
	return attr(typ, binary.BigEndian.AppendUint32(nil, v))
}

func attrU64(typ uint16, v uint64) netlink.Attribute {
	return attr(typ, binary.BigEndian.AppendUint64(nil, v))
}

func nest(typ uint16, attrs ...netlink.Attribute) netlink.Attribute {
	return attr(typ|unix.NLA_F_NESTED, encode(attrs...))
}

// encode serialises attributes. Only an attribute above 64 KiB can fail, and our
// only long lists are cut to elemsPerMessage.
func encode(attrs ...netlink.Attribute) []byte {
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		panic(fmt.Sprintf("intercept: attribute of more than 64 KiB: %v", err))
	}
	return b
}

// message is an nftables message of family inet.
func message(typ int, flags netlink.HeaderFlags, attrs ...netlink.Attribute) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | typ),
			Flags: netlink.Request | flags,
		},
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, encode(attrs...)...),
	}
}

// deleteTable is the message that deletes a table with everything in it.
func deleteTable(name string) netlink.Message {
	return message(unix.NFT_MSG_DELTABLE, 0, attrString(unix.NFTA_TABLE_NAME, name))
}

// messages are the program as one transaction's worth of messages. The library
// cannot send them: its tables always have flags 0 (google/nftables v0.3.0).
func (pr *program) messages(owner bool) ([]netlink.Message, error) {
	var flags uint32
	if owner {
		flags = tableFlagOwner
	}
	table := attrString(unix.NFTA_TABLE_NAME, pr.table) // attribute 1 names the table in all these messages
	out := []netlink.Message{message(unix.NFT_MSG_NEWTABLE, netlink.Create, table,
		attrU32(unix.NFTA_TABLE_FLAGS, flags), attr(attrTableUserdata, comment(pr.comment)))}
	for _, c := range pr.chains {
		attrs := []netlink.Attribute{table, attrString(unix.NFTA_CHAIN_NAME, c.name)}
		if h := c.hook; h != nil {
			attrs = append(attrs,
				nest(unix.NFTA_CHAIN_HOOK, attrU32(unix.NFTA_HOOK_HOOKNUM, uint32(h.num)), attrU32(unix.NFTA_HOOK_PRIORITY, uint32(h.priority))),
				attrU32(unix.NFTA_CHAIN_POLICY, uint32(nftables.ChainPolicyAccept)),
				attrString(unix.NFTA_CHAIN_TYPE, string(h.typ)))
		}
		out = append(out, message(unix.NFT_MSG_NEWCHAIN, netlink.Create, attrs...))
	}
	for _, s := range pr.sets {
		out = append(out, s.messages(table)...)
	}
	for _, c := range pr.chains {
		for _, r := range c.rules {
			exprs, err := encodeExprs(r.exprs)
			if err != nil {
				return nil, fmt.Errorf("rule %q: %w", r.text, err)
			}
			out = append(out, message(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, table,
				attrString(unix.NFTA_RULE_CHAIN, c.name), nest(unix.NFTA_RULE_EXPRESSIONS, exprs...),
				attr(unix.NFTA_RULE_USERDATA, comment(r.comment))))
		}
	}
	return out, nil
}

// comment is a comment as nft(8) stores it: a type, a length with the final zero, the text.
func comment(s string) []byte {
	return userdata.AppendString(nil, userdata.TypeComment, s)
}

func encodeExprs(exprs []expr.Any) ([]netlink.Attribute, error) {
	out := make([]netlink.Attribute, len(exprs))
	for i, e := range exprs {
		b, err := expr.Marshal(unix.NFPROTO_INET, e)
		if err != nil {
			return nil, fmt.Errorf("encode %T: %w", e, err)
		}
		out[i] = attr(unix.NFTA_LIST_ELEM|unix.NLA_F_NESTED, b)
	}
	return out, nil
}

// messages make the set and fill it. A constant set takes no element once a rule
// uses it, so they go before the rules.
func (s *set) messages(table netlink.Attribute) []netlink.Message {
	var typ, flags uint32 = 0, unix.NFT_SET_CONSTANT
	fields := s.kind.fields()
	var lens []netlink.Attribute
	for _, f := range fields {
		typ = typ<<6 | f.GetNFTMagic() // 6 bits a field: nft's TYPE_BITS
		lens = append(lens, nest(unix.NFTA_LIST_ELEM, attrU32(attrSetFieldLen, f.Bytes)))
	}
	attrs := []netlink.Attribute{
		table, attrString(unix.NFTA_SET_NAME, s.name), attrU32(unix.NFTA_SET_ID, s.id),
		attrU32(unix.NFTA_SET_KEY_TYPE, typ), attrU32(unix.NFTA_SET_KEY_LEN, s.kind.keyLen()),
	}
	switch {
	case s.kind.dynamic():
		flags = unix.NFT_SET_TIMEOUT
	case s.kind.interval():
		flags |= unix.NFT_SET_INTERVAL
	}
	if len(fields) > 1 {
		flags |= setFlagConcat
		attrs = append(attrs, nest(unix.NFTA_SET_DESC, nest(attrSetDescConcat, lens...)))
	}
	attrs = append(attrs, attrU32(unix.NFTA_SET_FLAGS, flags))
	out := []netlink.Message{message(unix.NFT_MSG_NEWSET, netlink.Create, attrs...)}

	for rest := s.elems; len(rest) > 0; {
		n := min(len(rest), elemsPerMessage)
		var list []netlink.Attribute
		for _, e := range rest[:n] {
			var a []netlink.Attribute
			if e.end {
				a = append(a, attrU32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END))
			}
			a = append(a, nest(unix.NFTA_SET_ELEM_KEY, attr(unix.NFTA_DATA_VALUE, e.key)))
			list = append(list, nest(unix.NFTA_LIST_ELEM, a...))
		}
		out = append(out, message(unix.NFT_MSG_NEWSETELEM, netlink.Create, table,
			attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name), attrU32(unix.NFTA_SET_ELEM_LIST_SET_ID, s.id),
			nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, list...)))
		rest = rest[n:]
	}
	return out
}
