package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

func loopbackDown(f *Facts) []Finding {
	lo := f.link("lo")
	wanted := f.wanted()
	if lo == nil || lo.Up || len(wanted) == 0 {
		return nil
	}
	x := Finding{
		Object: "interface lo", Text: "lo is down", Evidence: []string{"ip link show lo: no UP"},
		Fix:     []string{"ip link set lo up"},
		repairs: []repair{{kind: linkUp, name: "lo"}},
	}
	for _, r := range wanted { // they went with it
		for _, c := range intercept.RoutingCommands(*r.Status.Plan) {
			if c.Route {
				x.Fix = append(x.Fix, strings.Replace(c.Text, "route add", "route replace", 1))
			}
		}
		x.repairs = append(x.repairs, repair{kind: mendRouting, plan: *r.Status.Plan})
	}
	return []Finding{x}
}

func interfaceMissing(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		for _, name := range r.Status.Plan.Interfaces {
			switch l := f.link(name); {
			case l == nil:
				out = append(out, Finding{
					Level: Warning, Object: "interface " + name, Text: fmt.Sprintf("there is no interface %s, of which rules %s take", name, r.Status.Name),
					Advice: "its packets are taken when it appears; if it has another name now: weir intercept up with the right --interface",
				})
			case !l.Up:
				out = append(out, Finding{
					Object: "interface " + name, Text: fmt.Sprintf("interface %s is down", name), Evidence: []string{"ip link show " + name + ": no UP"},
					Fix: []string{"ip link set " + name + " up"},
				})
			case !l.Run:
				out = append(out, Finding{
					Object: "interface " + name, Text: fmt.Sprintf("interface %s has no carrier", name),
					Evidence: []string{"ip link show " + name + ": NO-CARRIER"}, Advice: "look at the cable, or at the other end",
				})
			}
		}
	}
	return out
}

func forwardingOff(f *Facts) (out []Finding) {
	seen := map[string]bool{}
	for _, r := range f.wanted() {
		if r.Status.Plan.Local && len(r.Status.Plan.Interfaces) == 0 {
			continue // of this machine's own connections none is forwarded
		}
		for _, v6 := range families(r.Status.Plan) {
			key := keyForward4
			if v6 {
				key = keyForward6
			}
			if f.Settings[key] != "0" || seen[key] || v6 && !f.hasIPv6() {
				continue
			}
			seen[key] = true
			out = append(out, Finding{
				Object: "setting " + key, Text: familyName(v6) + " is not forwarded", Evidence: []string{key + " = 0"},
				Fix: []string{"sysctl -w " + key + "=1"}, repairs: []repair{{kind: setSysctl, name: key, value: "1"}},
				Advice: "for good: a line in /etc/sysctl.d/",
			})
		}
	}
	return out
}

// hasIPv6 tells whether an interface has an IPv6 address that others can reach.
func (f *Facts) hasIPv6() bool {
	return slices.ContainsFunc(f.Links, func(l Link) bool {
		return slices.ContainsFunc(l.addrs(true), func(a string) bool { return a != "" })
	})
}

// addrs are the global addresses of a family.
func (l *Link) addrs(v6 bool) (out []string) {
	for _, a := range l.Addrs {
		if a.Is6() == v6 && a.IsGlobalUnicast() {
			out = append(out, a.String())
		}
	}
	return out
}

// ingress are the interfaces that a plan takes from.
func (f *Facts) ingress(p *intercept.Plan) (out []string) {
	for _, l := range f.Links {
		if l.Name != "lo" && (len(p.Interfaces) == 0 || slices.Contains(p.Interfaces, l.Name)) {
			out = append(out, l.Name)
		}
	}
	return out
}

func reversePath(f *Facts) (out []Finding) {
	dropped := f.Counters["TcpExt.IPReversePathFilter"]
	if dropped == 0 {
		return nil
	}
	seen := map[string]bool{}
	for _, r := range f.wanted() {
		for _, name := range f.ingress(r.Status.Plan) {
			key, all := keyOf(name, "rp_filter"), keyOf("all", "rp_filter")
			// The kernel uses the larger of the two (Documentation/networking/ip-sysctl.rst).
			if max(f.Settings[key], f.Settings[all]) != "1" || seen[name] {
				continue
			}
			seen[name] = true
			out = append(out, Finding{
				Object: "interface " + name, Text: "packets are dropped by the strict reverse path check of " + name,
				Evidence: []string{
					key + " = " + f.Settings[key] + ", " + all + " = " + f.Settings[all],
					fmt.Sprintf("%d packets dropped since this network namespace exists (nstat -az TcpExtIPReversePathFilter)", dropped),
				},
				Fix: []string{"sysctl -w " + key + "=2"}, repairs: []repair{{kind: setSysctl, name: key, value: "2"}},
				Advice: "for good: a line in /etc/sysctl.d/",
			})
		}
	}
	return out
}

func settingChanged(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		for _, x := range r.Found {
			if x.Code != "sysctl-drift" {
				continue
			}
			y := Finding{Object: "rules " + r.Status.Name, Text: x.Text, Fix: []string{x.Fix}}
			for _, s := range r.Status.Plan.Sysctls {
				y.repairs = append(y.repairs, repair{kind: setSysctl, name: s.Key, value: s.Value})
			}
			out = append(out, y)
		}
	}
	return out
}

// minIPv6 is the smallest MTU that IPv6 takes (RFC 8200 §5).
const minIPv6 = 1280

func mtuTooSmall(f *Facts) (out []Finding) {
	wanted := slices.ContainsFunc(f.wanted(), func(r *Rules) bool { return slices.Contains(families(r.Status.Plan), true) })
	if !wanted || f.Settings[keyNoIPv6] == "1" || !f.hasIPv6() {
		return nil // nothing here speaks IPv6
	}
	for _, l := range f.Links {
		if l.Name == "lo" || !l.Up || l.MTU >= minIPv6 || len(l.addrs(false)) == 0 {
			continue
		}
		out = append(out, Finding{
			Object: "interface " + l.Name, Text: fmt.Sprintf("interface %s has an MTU of %d: IPv6 is off there", l.Name, l.MTU),
			Evidence: []string{fmt.Sprintf("ip link show %s: mtu %d", l.Name, l.MTU)},
			Fix:      []string{fmt.Sprintf("ip link set %s mtu %d", l.Name, minIPv6)},
			Advice:   "the kernel does not bring its IPv6 addresses and routes back: restart what set them (systemctl restart systemd-networkd)",
		})
	}
	return out
}

// stuckAfter is how many unanswered repetitions make a connection stuck, and
// wideSegment what a segment holds at least for its size to be the suspect.
const (
	stuckAfter  = 3
	wideSegment = 1000
)

func blackHole(f *Facts) []Finding {
	if f.Settings[keyProbing] != "0" {
		return nil
	}
	var evidence []string
	for _, s := range f.Sockets {
		if s.State == survey.Established && s.Retransmits >= stuckAfter && s.MSS >= wideSegment && s.Unanswered > 0 {
			evidence = append(evidence, fmt.Sprintf("%s to %s: %d repetitions of a segment of up to %d bytes", s.Local, s.Remote, s.Retransmits, s.MSS))
		}
	}
	if len(evidence) == 0 {
		return nil
	}
	return []Finding{{
		Text: "large packets get no answer, on connections that were made", Evidence: few(evidence),
		Fix:     []string{"sysctl -w " + keyProbing + "=1"},
		Advice:  "something on the path drops the ICMP messages that tell its MTU (RFC 4821); better: let them pass, or set the MTU of that route. Connections get over it after their next repetitions",
		repairs: []repair{{kind: setSysctl, name: keyProbing, value: "1"}},
	}}
}

// few keeps the first of many lines.
func few(lines []string) []string {
	const most = 8
	if n := len(lines) - most; n > 0 {
		return append(slices.Clone(lines[:most]), fmt.Sprintf("and %d more", n))
	}
	return lines
}

func loopbackReachable(f *Facts) (out []Finding) {
	for _, l := range append([]Link{{Name: "all"}}, f.Links...) {
		key := keyOf(l.Name, "route_localnet")
		if l.Name != "lo" && f.Settings[key] == "1" {
			out = append(out, Finding{
				Object: "interface " + l.Name, Text: "127.0.0.0/8 is routed on " + l.Name, Evidence: []string{key + " = 1"},
				Fix: []string{"sysctl -w " + key + "=0"}, Advice: "some programs turn it on for port forwarding (kube-proxy, Docker): ask them first",
			})
		}
	}
	return out
}
