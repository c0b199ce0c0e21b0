package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/weirproxy/weir/proxy/intercept/survey"
)

func notBound(f *Facts) (out []Finding) {
	if f.Live == nil || f.Live.Offline {
		return nil
	}
	for _, l := range f.Live.Listeners {
		if l.Bound || len(l.Addresses) == 0 {
			continue
		}
		x := Finding{
			Object: "listener " + l.Name, Text: fmt.Sprintf("listener %s is not bound", l.Name), Evidence: []string{fmt.Sprintf("it wants %v", l.Addresses)},
			Advice: "the log has the reason: journalctl -u weir | grep " + l.Name,
		}
		for _, a := range l.Addresses {
			if s := f.listener(a); s != nil {
				x.Evidence = append(x.Evidence, fmt.Sprintf("the socket %d, of user %d, listens on %s", s.Inode, s.UID, s.Local))
				x.Advice = fmt.Sprintf("another program has the address (ss -ltnp sport = :%d): end it, or give the listener another port", a.Port())
			}
		}
		out = append(out, x)
	}
	return out
}

// listener finds who listens on an address, or on the wildcard with its port.
func (f *Facts) listener(a netip.AddrPort) *survey.Socket {
	for i := range f.Sockets {
		s := &f.Sockets[i]
		if s.State == survey.Listen && s.Local.Port() == a.Port() && (s.Local.Addr() == a.Addr() || s.Local.Addr().IsUnspecified() || a.Addr().IsUnspecified()) {
			return s
		}
	}
	return nil
}

// at are the sockets that listen on a port.
func (f *Facts) at(port uint16) (out []*survey.Socket) {
	for i := range f.Sockets {
		if s := &f.Sockets[i]; s.State == survey.Listen && s.Local.Port() == port {
			out = append(out, s)
		}
	}
	return out
}

func listenerMissing(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		p := r.Status.Plan
		if len(f.at(p.ListenPort)) > 0 {
			continue
		}
		x := Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("nothing listens on port %d, where rules %s lead", p.ListenPort, r.Status.Name),
			Evidence: []string{fmt.Sprintf("%d wanted connections found nobody", r.Status.Missed())},
			Advice:   fmt.Sprintf("start Weir with a listener on port %d with transparent: true", p.ListenPort),
		}
		if f.Live != nil {
			for _, l := range f.Live.Listeners {
				if l.Transparent && len(l.Addresses) > 0 {
					x.Evidence = append(x.Evidence, fmt.Sprintf("listener %s is on %s", l.Name, l.Addresses[0]))
					x.Advice = fmt.Sprintf("weir intercept up --name %s --port %d, with the other flags that the rules were made with; or give the listener port %d", r.Status.Name, l.Addresses[0].Port(), p.ListenPort)
				}
			}
		}
		out = append(out, x)
	}
	return out
}

func notTransparent(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		p := r.Status.Plan
		at := f.at(p.ListenPort)
		if p.Redirect || len(at) == 0 || slices.ContainsFunc(at, func(s *survey.Socket) bool { return s.Transparent }) {
			continue
		}
		out = append(out, Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("what listens on port %d is not transparent", p.ListenPort),
			Evidence: []string{fmt.Sprintf("the socket of %s has no IP_TRANSPARENT (ss -ltnpe sport = :%d)", at[0].Local, p.ListenPort)},
			Advice:   "in that listener's configuration: transparent: true. If the program is another one, give the rules another port",
		})
	}
	return out
}

func listenerAddress(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		p := r.Status.Plan.WithDefaults()
		at := f.at(p.ListenPort)
		if p.Redirect || len(at) == 0 {
			continue
		}
		for _, v6 := range families(&p) {
			if v6 && !f.hasIPv6() || slices.ContainsFunc(at, func(s *survey.Socket) bool { return s.Takes(v6) }) {
				continue
			}
			x := Finding{
				Object: "rules " + r.Status.Name, Text: fmt.Sprintf("nobody takes intercepted %s connections on port %d", familyName(v6), p.ListenPort),
				Advice: "in that listener's configuration: address 0.0.0.0, or :: with ipv4_compat: true for both families; or leave the family alone (--ipv4-only)",
			}
			for _, s := range at {
				x.Evidence = append(x.Evidence, "there is "+s.Local.String())
			}
			slices.Sort(x.Evidence)
			x.Evidence = slices.Compact(x.Evidence)
			out = append(out, x)
		}
	}
	return out
}

func ownTraffic(f *Facts) (out []Finding) {
	if f.Live == nil || f.Live.Offline {
		return nil
	}
	for _, r := range f.active() {
		p := r.Status.Plan.WithDefaults()
		if p.Local && f.Live.OwnMark&p.MarkMask != p.OwnMark {
			out = append(out, Finding{
				Object: "rules " + r.Status.Name, Text: fmt.Sprintf("rules %s take this machine's connections, and Weir's are not marked as its own", r.Status.Name),
				Evidence: []string{fmt.Sprintf("the rules leave mark %#x/%#x alone, Weir sets %#x", p.OwnMark, p.MarkMask, f.Live.OwnMark)},
				Advice:   fmt.Sprintf("start Weir with --intercept-own-mark %#x", p.OwnMark),
			})
		}
	}
	return out
}

func loop(f *Facts) []Finding {
	own := map[netip.Addr]bool{}
	for _, l := range f.Links {
		for _, a := range l.Addrs {
			own[a.Unmap()] = true
		}
	}
	type ends struct{ local, remote netip.AddrPort }
	ours := map[ends]bool{}
	for _, s := range f.Sockets {
		if s.State != survey.Listen && f.Process.Inodes[s.Inode] {
			ours[ends{s.Local, s.Remote}] = true
		}
	}
	var evidence []string
	for e := range ours {
		// The end that was accepted has the address of somebody else.
		if a := e.local.Addr(); !own[a] && !a.IsLoopback() && ours[ends{e.remote, e.local}] {
			evidence = append(evidence, fmt.Sprintf("%s to %s has both ends in process %d", e.remote, e.local, f.Process.PID))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	slices.Sort(evidence)
	return []Finding{{
		Text: "Weir intercepts its own connections", Evidence: few(evidence),
		Advice: "start it with --intercept-own-mark, or leave those destinations alone (--exclude)",
	}}
}

func canaryLost(f *Facts) []Finding {
	c := f.Canary
	if c.Error == "" || c.Taken {
		return nil
	}
	return []Finding{{
		Object: "canary", Text: fmt.Sprintf("a connection to %s, made as a client would, does not come about", c.To),
		Evidence: []string{c.Error, fmt.Sprintf("from %s by interface %s", c.From, c.Link)},
		Advice:   "if rules are limited to interfaces, the canary's packets are not theirs, and the server must know a way back to its address",
	}}
}

func canaryPassed(f *Facts) (out []Finding) {
	c := f.Canary
	if c.Taken || c.Error != "" {
		return nil
	}
	for _, r := range f.active() {
		if p := r.Status.Plan; len(p.Interfaces) > 0 && !slices.Contains(p.Interfaces, c.Link) {
			continue
		}
		out = append(out, Finding{
			Object: "canary", Text: fmt.Sprintf("a connection to %s, made as a client would, reached the server and not Weir", c.To),
			Evidence: []string{fmt.Sprintf("from %s by interface %s", c.From, c.Link)}, Advice: "are its address and port what the plan takes? weir intercept status",
		})
	}
	return out
}
