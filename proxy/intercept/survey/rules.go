package survey

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tablePrefix begins the names of our own tables and chains (proxy/intercept).
const tablePrefix = "weir-"

// The hooks by their names in nft, in the order of their numbers
// (linux/netfilter.h).
const (
	Prerouting  = "prerouting"
	Input       = "input"
	Forward     = "forward"
	Output      = "output"
	Postrouting = "postrouting"
)

// A Ruleset is what the nftables tables of the namespace do with IPv4 and IPv6,
// those of iptables-nft too. Legacy iptables is not in it.
type Ruleset struct {
	Chains []Chain
	// Legacy are the tables of legacy iptables that are in use and cannot be looked into.
	Legacy []string
}

// A Chain is one chain; a base chain has a hook.
type Chain struct {
	Family   string // "inet", "ip" or "ip6"
	Table    string
	Name     string
	Type     string // "filter", "nat" or "route"
	Hook     string // "" for one that others jump to
	Priority int
	Drop     bool // policy
	rules    []rule
	sets     map[string]*elements
}

// rule is one rule of a chain, as the kernel has it.
type rule struct {
	handle uint64
	exprs  []expr.Any
	// unread says that there are expressions beside exprs, tproxy that one of them is
	// tproxy: the library reads neither that nor others (google/nftables v0.3.0).
	unread, tproxy bool
}

// elements are those of a set or a map.
type elements struct {
	interval, concat bool
	elems            []nftables.SetElement
}

// Ours tells whether the chain is one of Weir's: of its own table, or, with the
// iptables backends, by its name.
func (c *Chain) Ours() bool {
	return strings.HasPrefix(c.Table, tablePrefix) || c.Hook == "" && strings.HasPrefix(c.Name, tablePrefix)
}

// String names the chain as nft(8) does.
func (c *Chain) String() string { return c.Family + " " + c.Table + " " + c.Name }

// maxRules is how many rules are read at most: rule sets of node agents can be
// larger than what is worth walking for a diagnosis.
const maxRules = 50_000

// Names lists the interceptions whose nftables table is there; those of the iptables
// backends are known by their record.
func Names() ([]string, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("open netfilter netlink socket: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", hint(err))
	}
	var out []string
	for _, t := range tables {
		if name, ok := strings.CutPrefix(t.Name, tablePrefix); ok {
			out = append(out, name)
		}
	}
	return out, nil
}

func hint(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (is CAP_NET_ADMIN missing?)", err)
	}
	return err
}

// Rules reads the rules of the namespace.
func Rules() (*Ruleset, error) {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return nil, fmt.Errorf("open netfilter netlink socket: %w", err)
	}
	defer func() { _ = c.CloseLasting() }()
	chains, err := c.ListChains()
	if err != nil {
		return nil, fmt.Errorf("list chains: %w", hint(err))
	}
	rs := &Ruleset{Legacy: legacy()}
	names, err := expressions()
	if err != nil {
		return nil, err
	}
	sets := map[string]map[string]*elements{}
	left := maxRules
	for _, ch := range chains {
		family := familyName(ch.Table.Family)
		if family == "" {
			continue
		}
		x := Chain{Family: family, Table: ch.Table.Name, Name: ch.Name}
		if ch.Hooknum != nil && ch.Priority != nil {
			x.Hook, x.Type, x.Priority = hookName(*ch.Hooknum), string(ch.Type), int(*ch.Priority)
			x.Drop = ch.Policy != nil && *ch.Policy == nftables.ChainPolicyDrop
		}
		if !x.Ours() {
			if err := x.read(c, ch, sets, names, &left); err != nil {
				return nil, err
			}
		}
		rs.Chains = append(rs.Chains, x)
	}
	return rs, nil
}

// read reads the chain's rules, and the sets that they look into.
func (x *Chain) read(c *nftables.Conn, ch *nftables.Chain, sets map[string]map[string]*elements, names map[string][]string, left *int) error {
	rules, err := c.GetRules(ch.Table, ch)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("list rules of %s: %w", x, err)
	}
	if *left -= len(rules); *left < 0 {
		return fmt.Errorf("more than %d rules", maxRules)
	}
	table := x.Family + " " + x.Table
	if sets[table] == nil {
		sets[table] = map[string]*elements{}
	}
	x.sets = sets[table]
	for _, r := range rules {
		all := names[fmt.Sprintf("%s %d", table, r.Handle)]
		x.rules = append(x.rules, rule{r.Handle, r.Exprs, len(all) > len(r.Exprs), slices.Contains(all, "tproxy")})
		for _, e := range r.Exprs {
			l, ok := e.(*expr.Lookup)
			if !ok || x.sets[l.SetName] != nil {
				continue
			}
			s, err := c.GetSetByName(ch.Table, l.SetName)
			if err != nil {
				continue // gone meanwhile: what it would say stays open
			}
			es, err := c.GetSetElements(s)
			if err != nil {
				continue
			}
			slices.SortStableFunc(es, func(a, b nftables.SetElement) int { return bytes.Compare(a.Key, b.Key) })
			x.sets[l.SetName] = &elements{s.Interval, s.Concatenation, es}
		}
	}
	return nil
}

// expressions lists the names of the expressions of all rules, by family, table and
// handle.
func expressions() (map[string][]string, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netfilter netlink socket: %w", err)
	}
	defer func() { _ = c.Close() }()
	msgs, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.NFPROTO_UNSPEC, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", hint(err))
	}
	out := map[string][]string{}
	for _, m := range msgs {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("decode rule: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		var table string
		var handle uint64
		var names []string
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				table = ad.String()
			case unix.NFTA_RULE_HANDLE:
				handle = ad.Uint64()
			case unix.NFTA_RULE_EXPRESSIONS:
				ad.Nested(func(ad *netlink.AttributeDecoder) error {
					for ad.Next() {
						ad.Nested(func(ad *netlink.AttributeDecoder) error {
							for ad.Next() {
								if ad.Type() == unix.NFTA_EXPR_NAME {
									names = append(names, ad.String())
								}
							}
							return ad.Err()
						})
					}
					return ad.Err()
				})
			}
		}
		if err := ad.Err(); err != nil {
			return nil, fmt.Errorf("decode rule: %w", err)
		}
		out[fmt.Sprintf("%s %s %d", familyName(nftables.TableFamily(m.Data[0])), table, handle)] = names
	}
	return out, nil
}

func familyName(f nftables.TableFamily) string {
	switch f {
	case nftables.TableFamilyINet:
		return "inet"
	case nftables.TableFamilyIPv4:
		return "ip"
	case nftables.TableFamilyIPv6:
		return "ip6"
	}
	return ""
}

func hookName(h nftables.ChainHook) string {
	switch h {
	case *nftables.ChainHookPrerouting:
		return Prerouting
	case *nftables.ChainHookInput:
		return Input
	case *nftables.ChainHookForward:
		return Forward
	case *nftables.ChainHookOutput:
		return Output
	case *nftables.ChainHookPostrouting:
		return Postrouting
	}
	return fmt.Sprintf("hook %d", h)
}
