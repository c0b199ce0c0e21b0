package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// priority is that of our chains at prerouting: mangle, or, for REDIRECT, dstnat.
func priority(p *intercept.Plan) int {
	if p.Redirect {
		return -101
	}
	return -150
}

// taken are the packets of a plan as they are after our rules.
func (f *Facts) taken(p *intercept.Plan) []survey.Packet {
	q := p.WithDefaults()
	out := f.firsts(p)
	for i := range out {
		if q.Redirect {
			out[i].Port = q.ListenPort
		} else {
			out[i].Mark = q.Mark
		}
	}
	return out
}

// letTaken is the command that lets them pass a base chain first of all.
func letTaken(c *survey.Chain, p *intercept.Plan) string {
	q := p.WithDefaults()
	if !q.Redirect {
		return letPass(c, q.Mark, q.MarkMask)
	}
	if tool := legacyTool(c); tool != "" {
		return fmt.Sprintf("%s -t %s -I %s -p tcp --dport %d -j ACCEPT", tool, c.Table, c.Name, q.ListenPort)
	}
	return fmt.Sprintf("nft insert rule %s tcp dport %d accept", c, q.ListenPort)
}

// legacyTool is the program that made the chain, if that is iptables; else "".
func legacyTool(c *survey.Chain) string {
	if c.Family == "inet" || !slices.Contains([]string{"filter", "mangle", "nat", "raw", "security"}, c.Table) || strings.ToUpper(c.Name) != c.Name {
		return ""
	}
	if c.Family == "ip6" {
		return "ip6tables"
	}
	return "iptables"
}

// firsts are first packets as a plan takes them: one for each family and sample of
// the ports.
func (f *Facts) firsts(p *intercept.Plan) (out []survey.Packet) {
	q := p.WithDefaults()
	iif := ""
	if in := f.ingress(p); len(in) == 1 {
		iif = in[0]
	} else if len(p.Interfaces) > 0 {
		iif = p.Interfaces[0]
	}
	for _, v6 := range families(&q) {
		if v6 && !f.hasIPv6() {
			continue
		}
		for _, port := range samples(&q) {
			out = append(out, survey.Packet{V6: v6, Iif: iif, Port: port})
		}
	}
	return out
}

// samples are some destination ports that a plan takes.
func samples(p *intercept.Plan) []uint16 {
	const most = 4
	out := []uint16{}
	excluded := func(n uint16) bool {
		return slices.ContainsFunc(p.ExcludePorts, func(r intercept.PortRange) bool { return n >= r.From && n <= r.To })
	}
	for _, r := range p.Ports {
		if len(out) < most && !excluded(r.From) {
			out = append(out, r.From)
		}
	}
	if len(p.Ports) == 0 {
		out = slices.DeleteFunc([]uint16{80, 443}, excluded)
	}
	return out
}

// fates asks the chains at a hook for every packet; each rule that decides is told
// once, with the packets that it decides about.
func (f *Facts) fates(hook string, part survey.Part, r *Rules, packets []survey.Packet, bad func(survey.BaseFate, survey.Packet) bool) (out []fated) {
	for _, p := range packets {
		for _, b := range f.Chains.Fates(hook, part, priority(r.Status.Plan), p) {
			if !bad(b, p) {
				continue
			}
			what := fmt.Sprintf("%s, port %d", familyName(p.V6), p.Port)
			i := slices.IndexFunc(out, func(x fated) bool { return x.Base == b.Base && x.Handle == b.Handle && x.What == b.What })
			if i < 0 {
				out = append(out, fated{b, []string{what}})
			} else {
				out[i].packets = append(out[i].packets, what)
			}
		}
	}
	return out
}

// fated is what a chain does with some packets.
type fated struct {
	survey.BaseFate
	packets []string
}

// finding tells it; a fate that is not certain is a warning.
func (x *fated) finding(r *Rules, what string) Finding {
	f := Finding{
		Object: "rules " + r.Status.Name, Text: fmt.Sprintf("%s %s by %s", what, x.What, x.Where()),
		Evidence: []string{fmt.Sprintf("nft -a list chain %s", x.chain()), "for " + strings.Join(x.packets, "; ")},
	}
	if x.What == survey.Passes { // and loses its mark
		f.Text = fmt.Sprintf("%s loses its mark in chain %s", what, x.Base)
	}
	switch {
	case x.Certain:
	case x.What == survey.Stolen:
		f.Level, f.Text = Warning, f.Text+", for another transparent proxy, while that listens"
	default:
		f.Level, f.Text = Warning, f.Text+", unless a rule before it lets it pass"
	}
	return f
}

func (x *fated) chain() *survey.Chain {
	if x.Chain != nil {
		return x.Chain
	}
	return x.Base
}

// letPass is the command that lets packets of a mark pass a base chain first of all.
func letPass(c *survey.Chain, mark, mask uint32) string {
	if tool := legacyTool(c); tool != "" {
		return fmt.Sprintf("%s -t %s -I %s -m mark --mark %#x/%#x -j ACCEPT", tool, c.Table, c.Name, mark, mask)
	}
	return fmt.Sprintf("nft insert rule %s meta mark and %#x == %#x accept", c, mask, mark)
}

func droppedBefore(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		bad := func(b survey.BaseFate, _ survey.Packet) bool { return b.What != survey.Passes }
		for _, x := range f.fates(survey.Prerouting, survey.Before, r, f.firsts(r.Status.Plan), bad) {
			y := x.finding(r, "a first packet is")
			y.Fix = []string{fmt.Sprintf("nft delete rule %s handle %d", x.chain(), x.Handle)}
			if x.Handle == 0 {
				y.Fix = []string{fmt.Sprintf("nft 'chain %s { policy accept; }'", x.chain())}
			}
			y.Advice = "if that rule is meant, leave its traffic alone here too (--exclude-cidrs, --exclude-ports)"
			out = append(out, y)
		}
	}
	return out
}

func divertedAfter(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		p := r.Status.Plan.WithDefaults()
		packets := f.taken(r.Status.Plan)
		bad := func(b survey.BaseFate, _ survey.Packet) bool {
			return b.What != survey.Passes || !p.Redirect && b.Marked && b.Mark&p.MarkMask != p.Mark
		}
		for _, x := range f.fates(survey.Prerouting, survey.After, r, packets, bad) {
			y := x.finding(r, "an intercepted packet is")
			if x.What == survey.Passes {
				y = x.finding(r, "an intercepted packet")
				y.Evidence = append(y.Evidence, fmt.Sprintf("its mark becomes %#x, ours is %#x/%#x", x.Mark, p.Mark, p.MarkMask))
			}
			y.Fix = []string{letTaken(x.Base, r.Status.Plan)}
			out = append(out, y)
		}
	}
	return out
}

func droppedAtInput(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		packets := f.taken(r.Status.Plan)
		bad := func(b survey.BaseFate, _ survey.Packet) bool { return b.What == survey.Dropped }
		for _, x := range f.fates(survey.Input, survey.Whole, r, packets, bad) {
			y := x.finding(r, "an intercepted packet is")
			y.Fix = []string{letTaken(x.Base, r.Status.Plan)}
			y.Advice = "for good: in the firewall's own configuration"
			out = append(out, y)
		}
	}
	return out
}

func droppedAtOutput(f *Facts) (out []Finding) {
	if f.Live == nil || f.Live.Offline {
		return nil
	}
	for _, r := range f.active() {
		p := r.Status.Plan.WithDefaults()
		var packets []survey.Packet
		for _, v6 := range families(&p) {
			for _, port := range samples(&p) {
				packets = append(packets, survey.Packet{V6: v6, Mark: f.Live.OwnMark, Port: port})
			}
		}
		bad := func(b survey.BaseFate, _ survey.Packet) bool { return b.What == survey.Dropped }
		for _, hook := range []string{survey.Output, survey.Postrouting} {
			for _, x := range f.fates(hook, survey.Whole, r, packets, bad) {
				y := x.finding(r, "Weir's own connection is")
				if f.Live.OwnMark != 0 {
					y.Fix = []string{letPass(x.Base, f.Live.OwnMark, p.MarkMask)}
				} else {
					y.Advice = fmt.Sprintf("start Weir with --intercept-own-mark, then: %s", letPass(x.Base, intercept.DefaultOwnMark, p.MarkMask))
				}
				out = append(out, y)
			}
		}
	}
	return out
}

func notForwarded(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		packets := f.firsts(r.Status.Plan)
		bad := func(b survey.BaseFate, _ survey.Packet) bool { return b.What == survey.Dropped }
		for _, x := range f.fates(survey.Forward, survey.Whole, r, packets, bad) {
			y := x.finding(r, "what passes by is")
			if y.Level = Warning; !x.Certain {
				y.Level = Note
			}
			for _, name := range f.ingress(r.Status.Plan) {
				if len(r.Status.Plan.Interfaces) > 0 {
					y.Fix = append(y.Fix, forwardPass(x.Base, name))
				}
			}
			y.Advice = "if nothing but intercepted traffic is to get through, this is as meant; Weir's end is then an outage"
			out = append(out, y)
		}
	}
	return out
}

// forwardPass is the command that forwards both ways through an interface.
func forwardPass(c *survey.Chain, name string) string {
	if tool := legacyTool(c); tool != "" {
		return fmt.Sprintf("%s -I %s -i %s -j ACCEPT; %s -I %s -o %s -j ACCEPT", tool, c.Name, name, tool, c.Name, name)
	}
	return fmt.Sprintf("nft insert rule %s iifname %q accept; nft insert rule %s oifname %q accept", c, name, c, name)
}
