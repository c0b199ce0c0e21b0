package e2e

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// network is everything on the gateway that interception may touch, as text:
// tables, policy rules, routes of all tables, and the settings that matter.
func (w *world) network() string {
	w.t.Helper()
	var out []string
	err := w.top.Gateway.Do(func() error {
		tables, err := tableNames()
		if err != nil {
			return err
		}
		out = append(out, tables...)
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			rules, err := netlink.RuleList(family)
			if err != nil {
				return err
			}
			for _, r := range rules {
				out = append(out, fmt.Sprintf("rule %d: %s", family, r))
			}
			routes, err := netlink.RouteListFiltered(family, &netlink.Route{Table: unix.RT_TABLE_UNSPEC}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return err
			}
			for _, r := range routes {
				if r.Flags&unix.RTM_F_CLONED == 0 {
					if r.Type == unix.RTN_MULTICAST {
						continue // the kernel's own, of each link: it comes when it likes
					}
					out = append(out, fmt.Sprintf("route %d: table %d type %d %s via %s dev %d", family, r.Table, r.Type, r.Dst, r.Gw, r.LinkIndex))
				}
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, key := range []string{
		"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv4.conf.all.rp_filter", "net.ipv4.conf.lan0.rp_filter",
		"net.ipv4.conf.wan0.rp_filter", "net.ipv4.conf.lo.rp_filter", "net.ipv4.conf.all.src_valid_mark", "net.ipv4.conf.all.route_localnet",
	} {
		v, err := w.top.Gateway.Sysctl(key)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, "sysctl "+key+" = "+v)
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// tables are the names of the gateway's nftables tables.
func (w *world) tables() (names []string) {
	w.t.Helper()
	err := w.top.Gateway.Do(func() (err error) {
		names, err = tableNames()
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return names
}

func tableNames() (names []string, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	tables, err := c.ListTables()
	for _, t := range tables {
		names = append(names, "table "+t.Name)
	}
	return names, err
}

// restored holds the gateway to be as it was.
func (w *world) restored(before string) {
	w.t.Helper()
	if after := w.network(); after != before {
		w.t.Errorf("the gateway's network is not what it was\n--- before\n%s\n--- after\n%s", before, after)
	}
}

// delRule deletes the policy rules of a mark in the calling thread's namespace.
func delRule(mark uint32) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		rules, err := netlink.RuleList(family)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.Mark == mark {
				r.Family = family
				if err := netlink.RuleDel(&r); err != nil {
					return fmt.Errorf("delete %s: %w", r, err)
				}
			}
		}
	}
	return nil
}
