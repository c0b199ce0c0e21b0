package intercept

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The kernel's state is read by this file and not through the library, whose
// v0.3.0 reads neither a table's owner and comment nor a tproxy expression.

// observedTable is a table of family inet as the kernel has it.
type observedTable struct {
	name, comment string
	flags         uint32
	owner         uint32 // netlink port of the owner, 0 without one
}

// observedRule is a rule as the kernel has it.
type observedRule struct {
	chain, comment string
	exprs          []byte // the list of expressions, as encoded
	counted        bool
	packets, bytes uint64
}

// list asks for all objects of a kind; a missing table is an empty list.
func (c *nfConn) list(typ int, each func(*netlink.AttributeDecoder) error, attrs ...netlink.Attribute) error {
	return c.listOf(unix.NFPROTO_INET, typ, each, attrs...)
}

// tables lists the tables of family inet whose name begins with "weir-".
func (c *nfConn) tables() ([]observedTable, error) { return c.tablesOf(tablePrefix) }

// tablesOf lists the tables of family inet whose name is longer than a prefix of it.
func (c *nfConn) tablesOf(prefix string) ([]observedTable, error) {
	var out []observedTable
	err := c.list(unix.NFT_MSG_GETTABLE, func(ad *netlink.AttributeDecoder) error {
		var t observedTable
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_TABLE_NAME:
				t.name = ad.String()
			case unix.NFTA_TABLE_FLAGS:
				t.flags = ad.Uint32()
			case attrTableOwner:
				t.owner = ad.Uint32()
			case attrTableUserdata:
				t.comment = commentOf(ad.Bytes())
			}
		}
		if len(t.name) > len(prefix) && t.name[:len(prefix)] == prefix {
			out = append(out, t)
		}
		return ad.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	return out, nil
}

// table looks for one table by name.
func (c *nfConn) table(name string) (observedTable, bool, error) {
	tables, err := c.tablesOf(name[:len(name)-1])
	i := slices.IndexFunc(tables, func(t observedTable) bool { return t.name == name })
	if err != nil || i < 0 {
		return observedTable{}, false, err
	}
	return tables[i], true, nil
}

// chains lists the chains of a table by name, with hook number and priority.
func (c *nfConn) chains(table string) (map[string][2]uint32, error) {
	out := map[string][2]uint32{}
	err := c.list(unix.NFT_MSG_GETCHAIN, func(ad *netlink.AttributeDecoder) error {
		var of, name string
		var h [2]uint32
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_CHAIN_TABLE:
				of = ad.String()
			case unix.NFTA_CHAIN_NAME:
				name = ad.String()
			case unix.NFTA_CHAIN_HOOK:
				ad.Nested(func(ad *netlink.AttributeDecoder) error {
					ad.ByteOrder = binary.BigEndian
					for ad.Next() {
						switch ad.Type() {
						case unix.NFTA_HOOK_HOOKNUM:
							h[0] = ad.Uint32()
						case unix.NFTA_HOOK_PRIORITY:
							h[1] = ad.Uint32()
						}
					}
					return ad.Err()
				})
			}
		}
		if of == table {
			out[name] = h
		}
		return ad.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list chains of %s: %w", table, err)
	}
	return out, nil
}

// rules lists the rules of a table, in order within each chain.
func (c *nfConn) rules(table string) ([]observedRule, error) {
	var out []observedRule
	err := c.list(unix.NFT_MSG_GETRULE, func(ad *netlink.AttributeDecoder) error {
		var of string
		var r observedRule
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				of = ad.String()
			case unix.NFTA_RULE_CHAIN:
				r.chain = ad.String()
			case unix.NFTA_RULE_USERDATA:
				r.comment = commentOf(ad.Bytes())
			case unix.NFTA_RULE_EXPRESSIONS:
				r.exprs = ad.Bytes()
			}
		}
		if of == table {
			r.count()
			out = append(out, r)
		}
		return ad.Err()
	}, attrString(unix.NFTA_RULE_TABLE, table))
	if err != nil {
		return nil, fmt.Errorf("list rules of %s: %w", table, err)
	}
	return out, nil
}

// elements lists the elements of a set, sorted.
func (c *nfConn) elements(table, name string) ([]elem, error) {
	var out []elem
	err := c.list(unix.NFT_MSG_GETSETELEM, func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				continue
			}
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					e, err := decodeElem(ad.Bytes())
					if err != nil {
						return err
					}
					out = append(out, e)
				}
				return ad.Err()
			})
		}
		return ad.Err()
	}, attrString(unix.NFTA_SET_ELEM_LIST_TABLE, table), attrString(unix.NFTA_SET_ELEM_LIST_SET, name))
	if err != nil {
		return nil, fmt.Errorf("list set %s of %s: %w", name, table, err)
	}
	sortElems(out)
	if len(out) > 0 && out[0].end {
		out = out[1:] // nft(8) marks the gap below the first interval: no meaning
	}
	return out, nil
}

func decodeElem(b []byte) (elem, error) {
	var e elem
	ad, err := decoder(b)
	if err != nil {
		return e, err
	}
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_FLAGS:
			e.end = ad.Uint32()&unix.NFT_SET_ELEM_INTERVAL_END != 0
		case unix.NFTA_SET_ELEM_KEY:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					if ad.Type() == unix.NFTA_DATA_VALUE {
						e.key = ad.Bytes()
					}
				}
				return ad.Err()
			})
		}
	}
	return e, ad.Err()
}

func sortElems(es []elem) {
	slices.SortFunc(es, func(a, b elem) int {
		if c := bytes.Compare(a.key, b.key); c != 0 || a.end == b.end {
			return c
		} else if a.end {
			return -1
		}
		return 1
	})
}

// commentOf reads a comment as nft(8) stores it.
func commentOf(b []byte) string {
	for len(b) >= 2 {
		n := int(b[1])
		if len(b) < 2+n {
			return ""
		}
		if userdata.Type(b[0]) == userdata.TypeComment {
			return string(bytes.TrimRight(b[2:2+n], "\x00"))
		}
		b = b[2+n:]
	}
	return ""
}

// splitExprs splits an encoded list of expressions into names and data.
func splitExprs(b []byte) (names []string, data [][]byte, err error) {
	ad, err := decoder(b)
	if err != nil {
		return nil, nil, err
	}
	for ad.Next() {
		var name string
		var body []byte
		ad.Nested(func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				switch ad.Type() {
				case unix.NFTA_EXPR_NAME:
					name = ad.String()
				case unix.NFTA_EXPR_DATA:
					body = ad.Bytes()
				}
			}
			return ad.Err()
		})
		names, data = append(names, name), append(data, body)
	}
	return names, data, ad.Err()
}

// count reads the rule's counter, where it has one.
func (r *observedRule) count() {
	names, data, err := splitExprs(r.exprs)
	i := slices.Index(names, "counter")
	if err != nil || i < 0 {
		return
	}
	ad, err := decoder(data[i])
	if err != nil {
		return
	}
	r.counted = true
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_COUNTER_BYTES:
			r.bytes = ad.Uint64()
		case unix.NFTA_COUNTER_PACKETS:
			r.packets = ad.Uint64()
		}
	}
}
