package survey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	route "github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// A Feature is something that interception needs of the kernel, and whether it is there.
type Feature struct {
	Name  string `json:"name"`
	Error string `json:"error,omitempty"` // "" when it works
	// Module is what `modprobe` may help with.
	Module string `json:"module,omitempty"`
	// Option is the kernel's build option.
	Option string `json:"option,omitempty"`
	// Needed is false for what only some plans need.
	Needed bool `json:"needed"`
}

// probes are tried in an empty namespace, each with what it takes.
func probes() []struct {
	f   Feature
	try func() error
} {
	type probe = struct {
		f   Feature
		try func() error
	}
	const needed = true
	rule := func(e ...expr.Any) func() error { return func() error { return tryRule(e...) } }
	v4 := &expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1}
	isV4 := &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.NFPROTO_IPV4}}
	tcp := &expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1}
	isTCP := &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}}
	return []probe{
		{Feature{"nftables", "", "nf_tables", "CONFIG_NF_TABLES_INET", needed}, rule(&expr.Counter{})},
		{Feature{"nft tproxy", "", "nft_tproxy", "CONFIG_NFT_TPROXY", needed}, rule(v4, isV4, tcp, isTCP,
			&expr.Immediate{Register: 1, Data: []byte{0x3a, 0x99}},
			&expr.TProxy{Family: unix.NFPROTO_IPV4, TableFamily: unix.NFPROTO_INET, RegPort: 1})},
		{Feature{"nft socket", "", "nft_socket", "CONFIG_NFT_SOCKET", needed}, rule(&expr.Socket{Key: expr.SocketKeyTransparent, Register: 1})},
		{Feature{"nft owner tables", "", "", "Linux 5.12", needed}, tryOwner},
		{Feature{"nft connection tracking", "", "nft_ct", "CONFIG_NFT_CT", !needed}, rule(&expr.Ct{Key: expr.CtKeySTATE, Register: 1})},
		{Feature{"policy rules by mark, IPv4", "", "", "CONFIG_IP_MULTIPLE_TABLES", needed}, func() error { return tryPolicy(unix.AF_INET) }},
		{Feature{"policy rules by mark, IPv6", "", "", "CONFIG_IPV6_MULTIPLE_TABLES", needed}, func() error { return tryPolicy(unix.AF_INET6) }},
		{Feature{"transparent sockets, IPv4", "", "", "CONFIG_NETFILTER", needed}, func() error { return trySocket(unix.AF_INET, unix.SOL_IP, unix.IP_TRANSPARENT) }},
		{Feature{"transparent sockets, IPv6", "", "", "CONFIG_IPV6", needed}, func() error { return trySocket(unix.AF_INET6, unix.SOL_IPV6, unix.IPV6_TRANSPARENT) }},
		{Feature{"sockets with a mark", "", "", "CONFIG_NET", needed}, func() error { return trySocket(unix.AF_INET, unix.SOL_SOCKET, unix.SO_MARK) }},
	}
}

// probeTable is the table that a probe tries in.
const probeTable = "probe"

// Probe tries every feature in a network namespace of its own, which is gone
// afterwards; it needs CAP_SYS_ADMIN for that. What the kernel's version says is
// not asked: distributions change it, and modules may be missing.
func Probe() ([]Feature, error) {
	type result struct {
		out []Feature
		err error
	}
	ch := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread, and the namespace, end with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			ch <- result{nil, fmt.Errorf("make a network namespace to try in: %w", err)}
			return
		}
		ch <- result{tryAll(), nil}
	}()
	r := <-ch
	return r.out, r.err
}

// tryAll tries in the namespace of the calling thread.
func tryAll() []Feature {
	var out []Feature
	for _, p := range probes() {
		if err := p.try(); err != nil {
			p.f.Error = err.Error()
		}
		out = append(out, p.f)
	}
	return out
}

// tryRule adds a rule to a new table and takes the table away.
func tryRule(e ...expr.Any) error {
	c, err := nftables.New()
	if err != nil {
		return err
	}
	t := &nftables.Table{Family: nftables.TableFamilyINet, Name: probeTable}
	c.AddTable(t)
	ch := c.AddChain(&nftables.Chain{
		Name: "c", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	c.AddRule(&nftables.Rule{Table: t, Chain: ch, Exprs: e})
	if err := c.Flush(); err != nil {
		return err
	}
	c.DelTable(t)
	return c.Flush()
}

// tryOwner adds a table that belongs to its socket; it ends with that.
func tryOwner() error {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	attrs, err := netlink.MarshalAttributes([]netlink.Attribute{
		{Type: unix.NFTA_TABLE_NAME, Data: []byte(probeTable + "\x00")},
		{Type: unix.NFTA_TABLE_FLAGS, Data: binary.BigEndian.AppendUint32(nil, 2)}, // NFT_TABLE_F_OWNER
	})
	if err != nil {
		return err
	}
	batch := func(t uint16) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(t), Flags: netlink.Request},
			Data:   []byte{0, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	add := netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWTABLE),
			Flags: netlink.Request | netlink.Create | netlink.Acknowledge,
		},
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attrs...),
	}
	if _, err := c.SendMessages([]netlink.Message{batch(unix.NFNL_MSG_BATCH_BEGIN), add, batch(unix.NFNL_MSG_BATCH_END)}); err != nil {
		return err
	}
	_, err = c.Receive() // the answer to add, or why there is none
	return err
}

// tryPolicy adds a rule by mark.
func tryPolicy(family int) error {
	mask := uint32(0x3000)
	r := route.NewRule()
	r.Family, r.Priority, r.Table, r.Mark, r.Mask = family, 100, 100, 0x1000, &mask
	if err := route.RuleAdd(r); err != nil {
		return err
	}
	return route.RuleDel(r)
}

// trySocket sets an option that needs power over the network.
func trySocket(family, level, option int) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	err = unix.SetsockoptInt(fd, level, option, 1)
	return errors.Join(err, unix.Close(fd))
}
