package intercept

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What iptables-nft keeps in nftables' families ip and ip6 is looked at, and
// tidied up, here.

// nfDrop is the verdict NF_DROP (linux/netfilter.h).
const nfDrop = 0

// otherChain is a chain of such a table.
type otherChain struct {
	table, name string
	base        bool // it has a hook
	drops       bool // by its policy
}

func protoFamily(v6 bool) uint8 {
	if v6 {
		return unix.NFPROTO_IPV6
	}
	return unix.NFPROTO_IPV4
}

// otherChains lists the chains of a family.
func (c *nfConn) otherChains(v6 bool) ([]otherChain, error) {
	var out []otherChain
	err := c.listOf(protoFamily(v6), unix.NFT_MSG_GETCHAIN, func(ad *netlink.AttributeDecoder) error {
		var o otherChain
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_CHAIN_TABLE:
				o.table = ad.String()
			case unix.NFTA_CHAIN_NAME:
				o.name = ad.String()
			case unix.NFTA_CHAIN_HOOK:
				o.base = true
			case unix.NFTA_CHAIN_POLICY:
				o.drops = ad.Uint32() == nfDrop
			}
		}
		out = append(out, o)
		return ad.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list chains of iptables-nft: %w", err)
	}
	return out, nil
}

// otherTables lists the tables of a family.
func (c *nfConn) otherTables(v6 bool) ([]string, error) {
	var out []string
	err := c.listOf(protoFamily(v6), unix.NFT_MSG_GETTABLE, func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			if ad.Type() == unix.NFTA_TABLE_NAME {
				out = append(out, ad.String())
			}
		}
		return ad.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("list tables of iptables-nft: %w", err)
	}
	return out, nil
}

// dropEmpty deletes a chain, or without one the table; what is not empty or not
// there stays so.
func (c *nfConn) dropEmpty(v6 bool, table, chain string) error {
	m := message(unix.NFT_MSG_DELTABLE, unix.NLM_F_NONREC, attrString(unix.NFTA_TABLE_NAME, table))
	if chain != "" {
		m = message(unix.NFT_MSG_DELCHAIN, unix.NLM_F_NONREC, attrString(unix.NFTA_CHAIN_TABLE, table), attrString(unix.NFTA_CHAIN_NAME, chain))
	}
	m.Data[0] = protoFamily(v6)
	err := c.commit([]netlink.Message{m})
	if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("tidy up table %s: %w", sharedName(v6, table, chain), err)
	}
	return nil
}

// listOf asks for all objects of a kind and family; a missing table is an empty list.
func (c *nfConn) listOf(family uint8, typ int, each func(*netlink.AttributeDecoder) error, attrs ...netlink.Attribute) error {
	ask := message(typ, netlink.Dump, attrs...)
	ask.Data[0] = family
	msgs, err := c.nl.Execute(ask)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return hint(err)
	}
	for _, m := range msgs {
		if len(m.Data) < 4 || m.Data[0] != family {
			continue
		}
		ad, err := decoder(m.Data[4:])
		if err != nil {
			return err
		}
		if err := each(ad); err != nil {
			return err
		}
	}
	return nil
}

func decoder(b []byte) (*netlink.AttributeDecoder, error) {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return nil, fmt.Errorf("decode netlink attributes: %w", err)
	}
	ad.ByteOrder = binary.BigEndian
	return ad, nil
}
