package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// Options say where to look.
type Options struct {
	// Names are those of the interceptions to look at; empty: all that there are.
	Names []string
	// Ask asks the running Weir what it says of itself; nil: there is none to ask.
	Ask func(context.Context) (*Live, error)
	// Asked is where Ask asks.
	Asked string
	// Promised is what a configuration file says, for when nobody can be asked; may be nil.
	Promised *Live
	// Version is this program's.
	Version string
	// Probe tries what the kernel can do, in a namespace of its own.
	Probe func() ([]survey.Feature, error)
	// Dial tries connections to hosts without a healthy one, to control planes and name servers.
	Dial bool
	// ResolvConf names the resolver's configuration; default /etc/resolv.conf.
	ResolvConf string
	// Canary is a destination that is dialed as if from a client; invalid: none.
	Canary netip.AddrPort
}

// Observe looks at the network namespace of the calling goroutine's thread, and at
// the running Weir. It changes nothing, except what a canary needs.
func Observe(ctx context.Context, o Options) *Facts {
	runtime.LockOSThread() // sysctls, /proc/thread-self and sockets are the thread's namespace's
	defer runtime.UnlockOSThread()
	f := &Facts{At: time.Now(), Version: o.Version, Asked: o.Asked}
	part := func(name string, err error) {
		if err != nil {
			f.Unread = append(f.Unread, Unread{name, err.Error()})
			return
		}
		f.read(name)
	}
	f.live(ctx, o)
	part(partRules, f.rules(o.Names))
	var err error
	f.Sockets, err = survey.Sockets()
	part(partSockets, err)
	f.Policy, err = survey.PolicyRules()
	part(partPolicy, err)
	f.Chains, err = survey.Rules()
	part(partChains, err)
	f.Links, err = links()
	part(partLinks, err)
	f.Settings = settings(f.Links)
	f.read(partSettings)
	f.Counters, err = counters()
	part(partCounters, err)
	if f.Conntrack, err = conntrack(); !errors.Is(err, fs.ErrNotExist) { // else nothing is tracked here
		part(partConntrack, err)
	}
	if f.Process = f.findProcess(); f.Process != nil {
		f.read(partProcess)
	}
	f.Clock, err = readClock()
	part(partClock, err)
	if o.Probe != nil {
		f.Kernel, err = o.Probe()
		part(partKernel, err)
	}
	if o.Dial {
		f.reach(ctx)
		if f.Names, err = askNames(ctx, o.ResolvConf, f.Live); err != nil || len(f.Names) > 0 {
			part(partNames, err)
		}
	}
	if o.Canary.IsValid() {
		r, err := survey.Canary(ctx, o.Canary)
		f.Canary = r
		part(partCanary, err)
	}
	return f
}

// live asks the running Weir.
func (f *Facts) live(ctx context.Context, o Options) {
	f.Live = o.Promised
	if o.Ask != nil {
		l, err := o.Ask(ctx)
		if err == nil {
			f.Live = l
		} else {
			f.LiveError = err.Error()
		}
	}
	if f.Live != nil || f.LiveError != "" {
		f.read(partLive)
	}
}

// rules reads the interceptions: those asked for, or all that left a trace.
func (f *Facts) rules(names []string) error {
	if len(names) == 0 {
		var err error
		if names, err = survey.Names(); err != nil {
			return err
		}
		records, err := filepath.Glob(filepath.Join(intercept.RuntimeDir(), "intercept-*.json"))
		if err != nil {
			return fmt.Errorf("list records: %w", err)
		}
		for _, r := range records {
			names = append(names, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(r), "intercept-"), ".json"))
		}
		slices.Sort(names)
		names = slices.Compact(names)
	}
	for _, name := range names {
		s, err := intercept.GetStatus(name)
		if errors.Is(err, unix.EPERM) {
			return err
		}
		if err == nil && !s.Active && s.Plan == nil {
			continue // a record of another network namespace
		}
		r := Rules{Status: s, OwnerAlive: s.PID > 0 && alive(s.PID)}
		if err != nil {
			r.Error = err.Error()
		}
		if s.Plan != nil {
			r.Found = intercept.Verify(*s.Plan)
		}
		f.Rules = append(f.Rules, r)
	}
	return nil
}

// alive tells whether a process runs and is one of ours, by its name.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	return err == nil && strings.Contains(string(b), "weir")
}
