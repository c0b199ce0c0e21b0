package intercept

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Protocol is what our policy rules and routes carry (`proto`, `protocol` of ip(8)):
// what has it is ours.
const Protocol = protocol

// RoutingCommand is a command of ip(8) that adds a policy rule or a route of a plan.
type RoutingCommand struct {
	Text  string
	Route bool // else a policy rule
}

// RoutingCommands are the commands that make a plan's routing, in their order.
func RoutingCommands(p Plan) (out []RoutingCommand) {
	for _, r := range p.routing() {
		out = append(out, RoutingCommand{r.String(), r.rule == nil})
	}
	return out
}

// MendRouting adds the policy rules and routes of a plan that are missing in the
// network namespace of the calling thread. It does not touch the table, so that it
// works for one that a running process holds.
func MendRouting(p Plan) error {
	if err := p.Validate(); err != nil {
		return fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	l, err := lock()
	if err != nil {
		return fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	defer func() { _ = l.Close() }()
	rt, err := dialRT()
	if err != nil {
		return fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	defer rt.close()
	for _, r := range p.routing() {
		if ok, err := rt.present(r); err != nil || ok {
			if err != nil {
				return fmt.Errorf("intercept %q: %w", p.Name, err)
			}
			continue
		}
		if _, err := rt.add(r); err != nil {
			return fmt.Errorf("intercept %q: %w", p.Name, err)
		}
	}
	return nil
}

// SetSysctl writes a setting of the calling thread's network namespace; only net.*
// is allowed.
func SetSysctl(s Sysctl) error {
	fs, err := openSysctls([]Sysctl{s})
	if err != nil {
		return err
	}
	defer fs.close()
	return fs[0].write(s.Value)
}

// SetLinkUp sets an interface of the calling thread's network namespace up.
func SetLinkUp(name string) error {
	l, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	if err != nil {
		return fmt.Errorf("set %s up: %w", name, hintPerm(err))
	}
	return nil
}
