package doctor

import (
	"fmt"
	"net/netip"
)

func kernelFeatures(f *Facts) (out []Finding) {
	for _, k := range f.Kernel {
		if k.Error == "" {
			continue
		}
		x := Finding{Object: "feature " + k.Name, Text: k.Name + " does not work", Evidence: []string{k.Error}}
		if !k.Needed {
			x.Level = Note
		}
		if k.Module != "" {
			x.Fix = []string{"modprobe " + k.Module}
		}
		x.Advice = "it is the kernel's " + k.Option
		out = append(out, x)
	}
	return out
}

// lowPort is what ip_unprivileged_port_start is where it cannot be read.
const lowPort = 1024

func capabilities(f *Facts) (out []Finding) {
	add := func(name, what string) {
		out = append(out, Finding{
			Object: "capability " + name, Text: fmt.Sprintf("the process %d lacks %s", f.Process.PID, name),
			Evidence: []string{fmt.Sprintf("/proc/%d/status: CapEff %#x", f.Process.PID, f.Process.Caps), what},
			Advice:   "in the unit file: AmbientCapabilities=CAP_NET_ADMIN CAP_NET_BIND_SERVICE; then restart it",
		})
	}
	transparent := len(f.active()) > 0
	var low netip.AddrPort
	if f.Live != nil {
		start := f.number(keyLowPorts, lowPort)
		for _, l := range f.Live.Listeners {
			transparent = transparent || l.Transparent
			for _, a := range l.Addresses {
				if !l.Bound && a.Port() != 0 && int(a.Port()) < start {
					low = a
				}
			}
		}
	}
	if transparent && !f.Process.can(capNetAdmin) {
		add("CAP_NET_ADMIN", "it has transparent listeners")
	}
	if low.IsValid() && !f.Process.can(capNetBindService) {
		add("CAP_NET_BIND_SERVICE", fmt.Sprintf("a listener wants %s", low))
	}
	return out
}

func processStopped(f *Facts) []Finding {
	p := f.Process
	switch p.State {
	case 'T', 't':
		return []Finding{{
			Text: fmt.Sprintf("the process %d is stopped", p.PID), Evidence: []string{fmt.Sprintf("/proc/%d/status: State %c", p.PID, p.State)},
			Fix: []string{fmt.Sprintf("kill -CONT %d", p.PID)}, Advice: "somebody sent SIGSTOP, or a debugger holds it",
		}}
	case 'Z':
		return []Finding{{Text: fmt.Sprintf("the process %d has ended, and its parent has not noticed", p.PID), Evidence: []string{"state Z"}, Advice: "start Weir again"}}
	}
	return nil
}

func notRunning(f *Facts) (out []Finding) {
	if f.Process != nil || f.Live != nil && !f.Live.Offline {
		return nil
	}
	for _, r := range f.Rules {
		if !r.Status.Active {
			continue
		}
		port := uint16(0)
		if r.Status.Plan != nil {
			port = r.Status.Plan.ListenPort
		}
		if f.listens(port) {
			continue // somebody else's program may be meant
		}
		x := Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("rules %s are installed and no Weir runs", r.Status.Name),
			Evidence: []string{
				fmt.Sprintf("no process listens on port %d", port),
				fmt.Sprintf("%d wanted connections found nobody", r.Status.Missed()),
			},
			Advice: "start Weir (systemctl start weir); or, to do without it: weir intercept down --name " + r.Status.Name,
		}
		out = append(out, x)
	}
	if len(out) == 0 && f.LiveError != "" {
		out = append(out, Finding{
			Text: "no Weir answers and none is to be seen", Evidence: []string{f.LiveError},
			Advice: "start Weir (systemctl start weir), or give the right --admin",
		})
	}
	return out
}

func versionDiffers(f *Facts) []Finding {
	if f.Live == nil || f.Live.Offline || f.Version == "" || f.Live.Version == "" || f.Live.Version == f.Version {
		return nil
	}
	return []Finding{{
		Text: "the running Weir is not the installed one", Evidence: []string{"running: " + f.Live.Version, "this program: " + f.Version},
		Advice: "restart it (systemctl restart weir)",
	}}
}

// The shares from which on a resource is called scarce, and used up.
const (
	scarce = 0.75
	usedUp = 0.9
)

// fullness gives a finding's level for n of limit; "" for enough.
func fullness(n, limit uint64) Level {
	switch share := float64(n) / float64(max(limit, 1)); {
	case limit == 0 || share < scarce:
		return ""
	case share < usedUp:
		return Warning
	}
	return Problem
}

func filesExhausted(f *Facts) []Finding {
	p := f.Process
	level := fullness(uint64(p.Files), p.FileLimit)
	if !p.HasFileCount || level == "" {
		return nil
	}
	hard := p.FileHard
	if hard < 2*p.FileLimit { // more takes CAP_SYS_RESOURCE
		hard = max(2*p.FileLimit, 65536)
	}
	return []Finding{{
		Level: level, Text: fmt.Sprintf("%d of %d file descriptors are in use", p.Files, p.FileLimit),
		Evidence: []string{fmt.Sprintf("/proc/%d/fd has %d entries, RLIMIT_NOFILE is %d", p.PID, p.Files, p.FileLimit)},
		Fix:      []string{fmt.Sprintf("prlimit --pid %d --nofile=%d:%d", p.PID, hard, hard)},
		Advice:   "for good: LimitNOFILE= in the unit file",
	}}
}
