package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/proxy/doctor"
	"github.com/weirproxy/weir/proxy/intercept/survey"
	"github.com/weirproxy/weir/proxy/upstream"
)

// Exit codes of doctor (docs/doctor.md).
const (
	exitFound  = 1 // a problem or a warning
	exitUnseen = 2 // it could not look
)

// doctorFlags say where to look.
type doctorFlags struct {
	flags  flags
	admin  string
	names  []string
	json   bool
	fix    bool
	only   []string
	canary string
}

const doctorHelp = `Find out what is wrong with this machine: the kernel, settings, interfaces, the rules and who is in their way, the listener,
what runs out, what is around, and what the running Weir says of itself. Causes come first; what follows from one is folded under
it. Each finding has what was seen, why it matters, and the commands that mend it.

With --admin, or the admin interface of the bootstrap of -c, the running Weir is asked too. Run it as root, where Weir runs.

It changes nothing without --fix, which makes the repairs that are safe (it puts back what the plan says) and looks again. --canary
connects to an address as a client behind this machine would: for that, an interface is added for a moment.

Exit codes: 0 nothing is wrong (notes do not count), 1 something is, 2 it could not look.`

func doctorCommand() *cobra.Command {
	o := new(doctorFlags)
	c := &cobra.Command{
		Use: "doctor", Short: "Find out what is wrong with this machine, and how it is mended", Long: doctorHelp, Args: cobra.NoArgs,
		Example: `  weir doctor
  weir doctor -c /etc/weir/weir.yaml --canary 203.0.113.5:443
  weir doctor --admin /run/weir/admin.sock --json
  weir doctor --fix --only WD305`,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.run(c.Context(), c.OutOrStdout()); err != nil {
				return err
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVarP(&o.flags.configPath, "config-path", "c", "", "bootstrap `file`: where the admin interface is, and what should be there when nobody answers")
	f.StringVar(&o.admin, "admin", "", "admin interface of the running Weir: `address`, or path of its unix socket")
	f.StringSliceVar(&o.names, "name", nil, "`names` of the rules to look at; default: all there are")
	f.BoolVar(&o.json, "json", false, "as JSON")
	f.BoolVar(&o.fix, "fix", false, "make the repairs that are safe, then look again")
	f.StringSliceVar(&o.only, "only", nil, "`codes` of the checks to ask, as WD305; default: all")
	f.StringVar(&o.canary, "canary", "", "`ip:port` to connect to as a client would")
	return c
}

// run looks, mends if asked, and tells.
func (o *doctorFlags) run(ctx context.Context, out io.Writer) error {
	unseen := func(err error) error { return coded{err, exitUnseen} }
	for _, code := range o.only {
		if !doctor.Known(code) {
			return unseen(fmt.Errorf("--only: there is no check %q", code))
		}
	}
	opts, err := o.options()
	if err != nil {
		return unseen(err)
	}
	r := doctor.Diagnose(doctor.Observe(ctx, opts), o.only...)
	var mended error
	if o.fix {
		n := 0
		mended = doctor.Mend(r, func(what string) {
			n++
			if !o.json {
				fmt.Fprintln(out, "mended:", what)
			}
		})
		if n > 0 {
			if !o.json {
				fmt.Fprintln(out)
			}
			r = doctor.Diagnose(doctor.Observe(ctx, opts), o.only...)
		}
	}
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", " ")
		err = e.Encode(r)
	} else {
		_, err = io.WriteString(out, r.Text())
	}
	switch {
	case err != nil:
		return unseen(err)
	case mended != nil:
		return coded{mended, exitFound}
	case !r.OK:
		return coded{fmt.Errorf("%d findings", len(r.Findings)), exitFound}
	case len(r.Unread) > 0:
		return unseen(errors.New("not everything could be looked at"))
	}
	return nil
}

// options make of the flags where to look.
func (o *doctorFlags) options() (d doctor.Options, err error) {
	d = doctor.Options{Names: o.names, Version: fullVersion(), Probe: survey.Probe, Dial: true}
	if o.canary != "" {
		if d.Canary, err = netip.ParseAddrPort(o.canary); err != nil {
			return d, fmt.Errorf("--canary: %w", err)
		}
	}
	admin := o.admin
	if o.flags.configPath != "" {
		l, err := load(&o.flags)
		if err != nil {
			return d, err
		}
		if d.Promised, err = l.promised(); err != nil {
			return d, err
		}
		if a := l.boot.Admin; a != nil && admin == "" {
			admin = a.Address
		}
	}
	if admin != "" {
		d.Asked = admin
		d.Ask = func(ctx context.Context) (*doctor.Live, error) {
			ctx, cancel := context.WithTimeout(ctx, doctorWait)
			defer cancel()
			live := new(doctor.Live)
			return live, getAdmin(ctx, admin, "/doctor?facts=live", live)
		}
	}
	return d, nil
}

// doctorWait is how long the admin interface may take: one that is stuck is a finding.
const doctorWait = 3 * time.Second

// promised is what the file says that there should be.
func (l *loaded) promised() (*doctor.Live, error) {
	s := l.snapshot()
	m := upstream.NewManager(upstream.Options{})
	if err := m.Apply(s); err != nil {
		return nil, err
	}
	live := doctor.Read(s, m)
	live.ControlPlanes = l.controlPlanes()
	return live, nil
}

// tell is what a running process says of itself.
func (p *process) tell() *doctor.Live {
	st := p.xds.Status()
	l := doctor.Tell(p.proxy, &st, time.Now())
	l.Version, l.OwnMark, l.ControlPlanes = fullVersion(), p.mark, p.l.controlPlanes()
	if h := p.rules.Load(); h != nil {
		l.Intercept = h.Plan().Name
	}
	return l
}
