package intercept

import (
	"errors"
	"fmt"
	"net"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// protocol marks our policy rules and routes, as routing daemons mark theirs: a
// number free in iproute2's rt_protos. What carries it is ours to remove.
const protocol = 87

// Action numbers of policy rules (linux/fib_rules.h).
const (
	actionGoto = 2 // FR_ACT_GOTO
	actionNop  = 3 // FR_ACT_NOP
)

// route is a policy rule or a route that a plan needs, for one family.
type route struct {
	v6 bool
	// rule is set for a policy rule; nil means the local default route of table.
	rule  *netlink.Rule
	table int
}

// routing lists the plan's routes and policy rules in the order of adding:
// the route first, so that no marked packet ever finds an empty table.
//
// Marked packets that enter are delivered locally by the second rule. The first
// steps over it when the kernel looks a marked packet's *source* up, which it does
// with lo as ingress: reverse-path checks with src_valid_mark=1 (Tailscale, VPNs),
// firewalld's IPv6_rpfilter and accepted sockets under tcp_fwmark_accept=1 would
// find every address to be local, and drop or misroute. The third rule is the
// place to step to.
func (p Plan) routing() []route {
	p = p.WithDefaults()
	if p.Redirect {
		return nil
	}
	var out []route
	for _, v6 := range []bool{false, true} {
		if v6 && p.Families&IPv6 == 0 || !v6 && p.Families&IPv4 == 0 {
			continue
		}
		rule := func(priority int, mark uint32) *netlink.Rule {
			r := netlink.NewRule()
			r.Family, r.Priority, r.Protocol = family(v6), priority, protocol
			if mark != 0 {
				r.Mark, r.Mask = mark, &p.MarkMask
			}
			return r
		}
		step := rule(p.Priority+2, 0)
		step.Type = actionNop
		guard := rule(p.Priority, p.Mark)
		guard.IifName, guard.Goto, guard.Type = "lo", p.Priority+2, actionGoto
		deliver := rule(p.Priority+1, p.Mark)
		deliver.Table = p.Table

		out = append(out, route{v6: v6, table: p.Table})
		for _, r := range []*netlink.Rule{step, guard, deliver} {
			out = append(out, route{v6: v6, rule: r, table: p.Table})
		}
		if p.Local {
			local := rule(p.Priority+1, p.LocalMark)
			local.Table = p.Table
			out = append(out, route{v6: v6, rule: local, table: p.Table})
		}
	}
	return out
}

func family(v6 bool) int {
	if v6 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// String is the command of ip(8) that adds it.
func (r route) String() string {
	ip := "ip -4"
	if r.v6 {
		ip = "ip -6"
	}
	if r.rule == nil {
		return fmt.Sprintf("%s route add local default dev lo table %d proto %d", ip, r.table, protocol)
	}
	s := fmt.Sprintf("%s rule add pref %d", ip, r.rule.Priority)
	if r.rule.IifName != "" {
		s += " iif " + r.rule.IifName
	}
	if r.rule.Mask != nil {
		s += fmt.Sprintf(" fwmark %#x/%#x", r.rule.Mark, *r.rule.Mask)
	}
	switch {
	case r.rule.Goto >= 0:
		s += fmt.Sprintf(" goto %d", r.rule.Goto)
	case r.rule.Table > 0:
		s += fmt.Sprintf(" lookup %d", r.rule.Table)
	default:
		s += " nop"
	}
	return s + fmt.Sprintf(" protocol %d", protocol)
}

// kernelRoute is the local default route as the netlink library takes it.
func (r route) kernelRoute(lo int) *netlink.Route {
	dst := &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}
	if r.v6 {
		dst = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	return &netlink.Route{
		Family: family(r.v6), Table: r.table, Type: unix.RTN_LOCAL, Scope: unix.RT_SCOPE_HOST,
		LinkIndex: lo, Dst: dst, Protocol: protocol,
	}
}

// rtConn changes routes and policy rules in the namespace it was opened in.
type rtConn struct {
	h  *netlink.Handle
	lo int // index of lo
}

func dialRT() (*rtConn, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open route netlink socket: %w", err)
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("find lo: %w", err)
	}
	if lo.Attrs().Flags&net.FlagUp == 0 {
		h.Close()
		return nil, errors.New("lo is down: nothing can be delivered locally (ip link set lo up)")
	}
	return &rtConn{h, lo.Attrs().Index}, nil
}

func (c *rtConn) close() { c.h.Close() }

// add adds the route or rule; what is there already is as good.
func (c *rtConn) add(r route) (created bool, err error) {
	if r.rule != nil {
		err = c.h.RuleAdd(r.rule)
	} else {
		err = c.h.RouteAdd(r.kernelRoute(c.lo))
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return false, fmt.Errorf("%s: %w", r, hintPerm(err))
	}
	return err == nil, nil
}

// del removes the route or rule; what is gone already is as good.
func (c *rtConn) del(r route) error {
	var err error
	if r.rule != nil {
		err = c.h.RuleDel(r.rule)
	} else {
		err = c.h.RouteDel(r.kernelRoute(c.lo))
	}
	if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("undo %s: %w", r, hintPerm(err))
	}
	return nil
}

func hintPerm(err error) error {
	if errors.Is(err, unix.EPERM) {
		return hint(err)
	}
	return err
}

// rules lists the policy rules of a family, ours and others.
func (c *rtConn) rules(v6 bool) ([]netlink.Rule, error) {
	rules, err := c.h.RuleList(family(v6))
	if err != nil {
		return nil, fmt.Errorf("list policy rules: %w", err)
	}
	return rules, nil
}

// routes lists the routes of one table, or with table 0 those of all tables.
func (c *rtConn) routes(v6 bool, table int) ([]netlink.Route, error) {
	filter := &netlink.Route{Table: table}
	routes, err := c.h.RouteListFiltered(family(v6), filter, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	return routes, nil
}

// present reports whether the kernel has the route or rule.
func (c *rtConn) present(r route) (bool, error) {
	if r.rule == nil {
		routes, err := c.routes(r.v6, r.table)
		return slices.ContainsFunc(routes, func(k netlink.Route) bool {
			return k.Type == unix.RTN_LOCAL && k.LinkIndex == c.lo && isDefault(k.Dst)
		}), err
	}
	rules, err := c.rules(r.v6)
	return slices.ContainsFunc(rules, func(k netlink.Rule) bool { return sameRule(k, *r.rule) }), err
}

func isDefault(n *net.IPNet) bool {
	if n == nil {
		return true
	}
	ones, _ := n.Mask.Size()
	return ones == 0
}

// sameRule compares what the library reads back of a rule; it does not read the
// action, which for our rules follows from Goto and Table.
func sameRule(a, b netlink.Rule) bool {
	return a.Priority == b.Priority && a.Mark == b.Mark && a.IifName == b.IifName && a.Goto == b.Goto &&
		a.Table == b.Table && a.Src == nil && a.Dst == nil &&
		(a.Mask == nil) == (b.Mask == nil) && (a.Mask == nil || *a.Mask == *b.Mask)
}

// orphans removes the policy rules and routes of ours that no living table uses:
// what processes that died by SIGKILL left behind. keep are the tables that live;
// among the rules at the priorities of own, only those of own stay.
func (c *rtConn) orphans(keep []routingKey, own []route) error {
	var errs []error
	for _, v6 := range []bool{false, true} {
		rules, err := c.rules(v6)
		if err != nil {
			return err
		}
		for _, r := range rules {
			if r.Protocol != protocol || kept(r, v6, keep, own) {
				continue
			}
			r.Type = actionOf(r)
			r.Family = family(v6)
			errs = append(errs, c.del(route{v6: v6, rule: &r, table: r.Table}))
		}
		routes, err := c.routes(v6, unix.RT_TABLE_UNSPEC)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Protocol == protocol && !slices.ContainsFunc(keep, func(k routingKey) bool { return r.Table == k.table }) {
				errs = append(errs, c.del(route{v6: v6, table: r.Table}))
			}
		}
	}
	return errors.Join(errs...)
}

// kept tells whether orphans leaves the policy rule.
func kept(r netlink.Rule, v6 bool, keep []routingKey, own []route) bool {
	at := func(priority int) bool { return r.Priority >= priority && r.Priority <= priority+2 }
	if len(own) > 0 && slices.ContainsFunc(own, func(o route) bool { return o.rule != nil && o.rule.Priority == r.Priority }) {
		return slices.ContainsFunc(own, func(o route) bool { return o.rule != nil && o.v6 == v6 && sameRule(r, *o.rule) })
	}
	return slices.ContainsFunc(keep, func(k routingKey) bool { return at(k.priority) })
}

// actionOf tells the action of a rule of ours from what the library reads.
func actionOf(r netlink.Rule) uint8 {
	switch {
	case r.Goto >= 0:
		return actionGoto
	case r.Table == 0:
		return actionNop
	}
	return unix.RTN_UNICAST
}

// routingKey names the kernel objects that a plan uses beside its table.
type routingKey struct {
	table, priority int
	mark, mask      uint32
}

func (p Plan) key() routingKey {
	if p.Redirect {
		return routingKey{}
	}
	return routingKey{p.Table, p.Priority, p.Mark, p.MarkMask}
}
