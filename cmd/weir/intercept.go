package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/intercept"
)

// interceptFlags say what traffic is taken.
type interceptFlags struct {
	name                     string
	port                     uint16
	interfaces               []string
	includeCIDRs             string
	excludeCIDRs             string
	excludePorts             string
	excludeAddrs             []string
	mark, ownMark            uint32
	table                    int
	onDown                   string
	local, ssh, replySpoofed bool
	redirect                 bool
	backend                  string
	sysctls                  []string
	ipv4Only, ipv6Only       bool
	selectFlags
}

func (i *interceptFlags) add(f *pflag.FlagSet) {
	f.StringVar(&i.name, "intercept-name", intercept.DefaultName, "name of the rules; two with different names can coexist")
	f.Uint16Var(&i.port, "intercept-port", 0, "port of the listener; default: that of the first listener (by name) with transparent: true (redirect: with the original_dst listener filter), or 15001")
	f.StringSliceVar(&i.interfaces, "intercept-interface", nil, "take traffic that enters here; default: all but lo")
	f.StringVar(&i.includeCIDRs, "intercept-cidrs", "", "take traffic to these networks only")
	f.StringVar(&i.excludeCIDRs, "intercept-exclude-cidrs", "", "leave traffic to these networks alone")
	f.StringVar(&i.excludePorts, "intercept-exclude-ports", "", "leave these destination ports alone")
	f.StringSliceVar(&i.excludeAddrs, "intercept-exclude", nil, "leave these ip:port destinations alone (control plane, admin and own listeners always are)")
	f.Uint32Var(&i.mark, "intercept-mark", intercept.DefaultMark, "packet mark of intercepted traffic")
	f.Uint32Var(&i.ownMark, "intercept-own-mark", intercept.DefaultOwnMark, "packet mark of our own connections; giving it marks them even without --intercept")
	f.IntVar(&i.table, "intercept-table", intercept.DefaultTable, "route table")
	i.selectFlags.add(f)
	f.StringVar(&i.onDown, "intercept-on-down", "pass", "what happens to traffic while nothing listens: pass, drop, or drop:PORTS, which drops these destination ports only. What is dropped stays so until weir intercept down, however a process ended")
	f.BoolVar(&i.local, "intercept-local", false, "take connections of this machine's own programs too")
	f.BoolVar(&i.redirect, "intercept-redirect", false, "rewrite destinations (REDIRECT) instead of handing connections over as they are (TPROXY), to a listener with the original_dst listener filter; servers then see this machine's address")
	f.StringVar(&i.backend, "intercept-backend", "nft", "what holds the rules: nft, iptables, iptables-nft or iptables-legacy")
	f.StringArrayVar(&i.sysctls, "intercept-sysctl", nil, "`key=value` of a setting of net.* that is changed while the rules are there, and restored; may be given more than once")
	f.BoolVar(&i.ssh, "intercept-ssh", false, "take port 22 too")
	f.BoolVar(&i.replySpoofed, "intercept-reply-spoofed", false, "needed with the original_src listener filter: replies to connections made under client addresses are ours")
	f.BoolVar(&i.ipv4Only, "intercept-ipv4-only", false, "IPv4 only")
	f.BoolVar(&i.ipv6Only, "intercept-ipv6-only", false, "IPv6 only")
}

// plan makes the rules' plan; ports is "all" or a list.
func (i *interceptFlags) plan(ports string) (intercept.Plan, error) {
	p := intercept.Plan{
		Name: i.name, ListenPort: i.port, Interfaces: i.interfaces, Mark: i.mark, OwnMark: i.ownMark, Table: i.table,
		Local: i.local, SSH: i.ssh, ReplySpoofed: i.replySpoofed, Redirect: i.redirect,
	}
	var errs []error
	note := func(flag string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", flag, err))
		}
	}
	var err error
	if ports != "" && ports != "all" {
		p.Ports, err = intercept.ParsePorts(ports)
		note("intercept", err)
	}
	p.ExcludePorts, err = intercept.ParsePorts(i.excludePorts)
	note("intercept-exclude-ports", err)
	p.IncludeCIDRs, err = intercept.ParseCIDRs(i.includeCIDRs)
	note("intercept-cidrs", err)
	p.ExcludeCIDRs, err = intercept.ParseCIDRs(i.excludeCIDRs)
	note("intercept-exclude-cidrs", err)
	for _, s := range i.excludeAddrs {
		a, err := netip.ParseAddrPort(s)
		note("intercept-exclude", err)
		p.ExcludeAddrPorts = append(p.ExcludeAddrPorts, a)
	}
	note("intercept-backend", p.Backend.UnmarshalText([]byte(i.backend)))
	i.selectFlags.fill(&p, note)
	for _, s := range i.sysctls {
		key, value, ok := strings.Cut(s, "=")
		if !ok {
			note("intercept-sysctl", fmt.Errorf("%q: want key=value", s))
		}
		p.Sysctls = append(p.Sysctls, intercept.Sysctl{Key: key, Value: value})
	}
	switch i.onDown {
	case "pass":
	case "drop":
		p.OnDown = intercept.Drop
	default:
		ports, ok := strings.CutPrefix(i.onDown, "drop:")
		if !ok || ports == "" {
			note("intercept-on-down", fmt.Errorf("%q: want pass, drop or drop:PORTS", i.onDown))
			break
		}
		p.DropPorts, err = intercept.ParsePorts(ports)
		note("intercept-on-down", err)
	}
	switch {
	case i.ipv4Only && i.ipv6Only:
		note("intercept-ipv6-only", errors.New("with --intercept-ipv4-only nothing is left"))
	case i.ipv4Only:
		p.Families = intercept.IPv4
	case i.ipv6Only:
		p.Families = intercept.IPv6
	}
	return p.WithDefaults(), errors.Join(errs...)
}

// defaultListenPort is where a plan sends traffic when nothing says otherwise.
const defaultListenPort = 15001

// startRules takes traffic, with rules that end with this process.
func (p *process) startRules() error {
	if len(p.spaces.all) > 0 {
		return p.spaces.start()
	}
	if p.o.interceptOn == "" {
		return nil
	}
	plan, err := p.rulesPlan()
	if err != nil {
		return err
	}
	h, err := intercept.Apply(plan, intercept.Resident)
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	p.rules.Store(h)
	if plan.NeedsGuard(intercept.Resident) {
		if err := startGuard(h, plan.Name); err != nil {
			return fmt.Errorf("intercept: %w", err)
		}
	}
	if err := p.holdLease(h); err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	p.log.Info("intercepting", zap.Uint16("to port", plan.ListenPort), zap.String("ports", p.o.interceptOn))
	return nil
}

// rulesPlan is the plan of --intercept, for the configuration in force.
func (p *process) rulesPlan() (intercept.Plan, error) {
	plan, err := p.o.intercept.plan(p.o.interceptOn)
	if err != nil {
		return plan, err
	}
	if plan.ListenPort == 0 {
		plan.ListenPort = p.listenPort(plan.Redirect)
	}
	plan.ExcludeAddrPorts = append(plan.ExcludeAddrPorts, p.left()...)
	return plan, nil
}

// stopRules lets traffic flow past us again.
func (p *process) stopRules() {
	p.passNew()
	p.spaces.stop()
	if h := p.rules.Swap(nil); h != nil {
		if err := h.Close(); err != nil {
			p.log.Error("interception rules not removed", zap.Error(err))
		}
	}
}

// listenPort is the port of the first listener that can be intercepted to: a
// transparent one, or for redirect one that asks for the original destination.
func (p *process) listenPort(redirect bool) uint16 {
	s := p.proxy.Snapshot()
	for _, name := range slices.Sorted(maps.Keys(s.Listeners)) {
		m := s.Listener(name)
		if m == nil || len(m.Addresses) == 0 {
			continue
		}
		if redirect && asksOriginalDst(m) || !redirect && m.Transparent {
			return m.Addresses[0].Addr.Port()
		}
	}
	return defaultListenPort
}

// asksOriginalDst tells whether the original_dst listener filter is there.
func asksOriginalDst(m *listener.Listener) bool {
	return slices.ContainsFunc(m.Filters, func(f listener.ListenerFilter) bool {
		return f.Factory != nil && f.Factory.Name == "envoy.filters.listener.original_dst"
	})
}

// left are the destinations that interception must leave alone whatever is
// asked: the control plane and the admin interface.
func (p *process) left() []netip.AddrPort {
	var out []netip.AddrPort
	addrs := p.l.controlPlanes()
	if a := p.l.boot.Admin; a != nil {
		addrs = append(addrs, a.Address)
	}
	for _, t := range addrs {
		if a, err := netip.ParseAddrPort(t); err == nil {
			out = append(out, a)
		}
	}
	return out
}

func interceptCommand() *cobra.Command {
	c := &cobra.Command{Use: "intercept", Short: "The interception rules: show, install, verify, remove"}
	c.AddCommand(planCommand(), upCommand(), statusCommand(), guardCommand(), downCommand(), watchCommand(), confirmCommand(), rollbackCommand(), watchdogCommand())
	return c
}

// ruleFlags are those of the verbs that describe rules.
func ruleFlags(c *cobra.Command) (*interceptFlags, *string) {
	i, ports := new(interceptFlags), new(string)
	c.Flags().SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		return pflag.NormalizedName(strings.TrimPrefix(name, "intercept-")) // both --port and --intercept-port
	})
	i.add(c.Flags())
	c.Flags().StringVar(ports, "ports", "all", "destination ports to take, e.g. 80,443,8000-8099")
	return i, ports
}

func (i *interceptFlags) full(ports string) (intercept.Plan, error) {
	p, err := i.plan(ports)
	if p.ListenPort == 0 {
		p.ListenPort = defaultListenPort
	}
	if err == nil {
		err = p.Validate()
	}
	return p, err
}

func planCommand() *cobra.Command {
	c := &cobra.Command{Use: "plan", Short: "Show the rules; change nothing", Args: cobra.NoArgs}
	i, ports := ruleFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := i.full(*ports)
		if err != nil {
			return err
		}
		return intercept.PrintPlan(c.OutOrStdout(), p)
	}
	return c
}

func upCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "up", Short: "Install rules that outlive this command; traffic flows on while nothing listens", Args: cobra.NoArgs,
	}
	i, ports := ruleFlags(c)
	confirm := c.Flags().Duration("confirm", 0, "take everything back after this time, unless weir intercept confirm comes; it does not need this shell or its connection")
	guard := c.Flags().Bool("guard", true, "start a guard (weir intercept guard) where the rules need one; without it, have one run as a service")
	c.RunE = func(c *cobra.Command, _ []string) error {
		p, err := i.full(*ports)
		if err != nil {
			return err
		}
		if *confirm > 0 {
			if _, err := awaitConfirmation(p.Name, *confirm); err != nil {
				return err
			}
		}
		h, err := intercept.Apply(p, intercept.Installed)
		if err != nil {
			if *confirm > 0 {
				_, cerr := intercept.Confirm(p.Name) // nothing has changed
				err = errors.Join(err, cerr)
			}
			return err
		}
		h.Release()
		warnMarks(c.ErrOrStderr(), p)
		if *confirm <= 0 {
			if _, err := intercept.Confirm(p.Name); err != nil {
				return err
			}
		}
		if *guard && p.NeedsGuard(intercept.Installed) {
			pid, err := spawnGuard(p.Name)
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "guarded by process %d\n", pid)
		}
		fmt.Fprintf(c.OutOrStdout(), "installed %s: to port %d; undo with: weir intercept down --name %s\n", p.TableName(), p.ListenPort, p.Name)
		if *confirm > 0 {
			fmt.Fprintf(c.OutOrStdout(), "taken back in %s, unless: weir intercept confirm --name %s\n", *confirm, p.Name)
		}
		return nil
	}
	return c
}

// warnMarks tells what others do with the packet mark that may not go together
// with the plan.
func warnMarks(w io.Writer, p intercept.Plan) {
	conflicts, err := intercept.CheckMarks(p)
	if err != nil {
		fmt.Fprintf(w, "warning: packet marks of others not read: %v\n", err)
	}
	for _, c := range conflicts {
		fmt.Fprintf(w, "warning: %s\n", c.Text)
	}
}

func statusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "What rules there are, and what they have taken", Args: cobra.NoArgs}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	asJSON := c.Flags().Bool("json", false, "as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		s, err := intercept.GetStatus(*name)
		if err != nil {
			return err
		}
		if *asJSON {
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", " ")
			return e.Encode(s)
		}
		return printStatus(c.OutOrStdout(), s)
	}
	return c
}

func printStatus(w io.Writer, s intercept.Status) error {
	var findings []intercept.Finding
	if s.Plan != nil {
		findings = s.Findings()
	}
	if err := intercept.PrintStatus(w, s, findings); err != nil {
		return err
	}
	if len(findings) > 0 {
		return problem{fmt.Errorf("%d findings", len(findings))}
	}
	return nil
}

func downCommand() *cobra.Command {
	c := &cobra.Command{Use: "down", Short: "Remove the rules and restore what they changed", Args: cobra.NoArgs}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if _, err := intercept.Confirm(*name); err != nil { // there is nothing to take back any more
			return err
		}
		if err := intercept.Remove(*name); err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "removed %s\n", strings.TrimSpace(*name))
		return nil
	}
	return c
}
