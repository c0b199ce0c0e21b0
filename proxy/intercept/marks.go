package intercept

import (
	"fmt"
	"strings"
)

// A MarkUse is what somebody else does with bits of the packet mark.
type MarkUse struct {
	// Value and Mask are the bits that are matched, or set.
	Value uint32 `json:"value"`
	Mask  uint32 `json:"mask"`
	// Sets is a rule that sets the mark; others match it.
	Sets bool `json:"sets,omitempty"`
	// Not is a match of all but the value.
	Not bool `json:"not,omitempty"`
	// Priority is that of a policy rule; 0 is a rule of the firewall.
	Priority int `json:"priority,omitempty"`
	// Where names the rule: "ip rule 5210", "nft ip6 filter FORWARD".
	Where string `json:"where"`
}

// String is the use in words.
func (u MarkUse) String() string {
	verb := "matches"
	if u.Sets {
		verb = "sets"
	} else if u.Not {
		verb = "matches all but"
	}
	return fmt.Sprintf("%s %s mark %#x/%#x", u.Where, verb, u.Value, u.Mask)
}

// A MarkConflict is a use of the mark that does not go together with a plan.
type MarkConflict struct {
	Use MarkUse `json:"use"`
	// Refuse says that packets would go the wrong way: Apply does not do it. Other
	// conflicts may be harmless, as what their rules see may never be ours.
	Refuse bool `json:"refuse,omitempty"`
	// Program is who most likely made the rule; "" is not known.
	Program string `json:"program,omitempty"`
	// Text says what would go wrong.
	Text string `json:"text"`
}

// A markOwner is a program and the bits that it is known to use.
type markOwner struct {
	program string
	chains  []string // beginnings of the names of its chains
	mask    uint32   // bits of the packet mark
}

// markOwners are programs that use packet marks, with the bits of their default
// settings. Sources: their documentation and rules; see docs/interception.md.
func markOwners() []markOwner {
	return []markOwner{
		{"Tailscale", []string{"ts-"}, 0x00ff0000},
		{"Cilium", []string{"CILIUM_", "OLD_CILIUM_"}, 0x00000f00},
		{"Calico", []string{"cali-"}, 0xffff0000},
		{"kube-proxy", []string{"KUBE-"}, 0x0000c000},
		{"Docker", []string{"DOCKER"}, 0x00000001},
		{"Istio", []string{"ISTIO_"}, 0x00000fff},
		{"AWS VPC CNI", []string{"AWS-"}, 0x00000080},
		{"WireGuard (wg-quick)", []string{"wg-quick"}, 0x0000ca6c},
	}
}

// programOf guesses who made a rule: by its chain, else by bits that only one
// program is known for.
func programOf(u MarkUse) string {
	for _, o := range markOwners() {
		for _, c := range o.chains {
			for w := range strings.FieldsSeq(u.Where) {
				if strings.HasPrefix(w, c) {
					return o.program
				}
			}
		}
	}
	if u.Priority == 0 {
		return ""
	}
	switch {
	case u.Priority >= 5210 && u.Priority <= 5270 && u.Mask == 0xff0000:
		return "Tailscale"
	case u.Value == 0x200 && u.Mask == 0xf00, u.Value == 0xe00 && u.Mask == 0xf00:
		return "Cilium"
	case u.Value == 0xca6c:
		return "WireGuard (wg-quick)"
	case u.Value == 0x80 && u.Mask == 0x80:
		return "AWS VPC CNI"
	}
	return ""
}

// MarkConflicts compares a plan with what others do with the packet mark. It is
// pure; ObserveMarks tells what they do.
//
// Packets that are intercepted carry the plan's mark, those of local programs
// LocalMark until then, and our own connections OwnMark. A rule of somebody else
// that takes one of these for its own sends packets elsewhere; a rule that sets our
// bits makes packets ours that are not, or those that are not ours any more.
func MarkConflicts(p Plan, uses []MarkUse) (out []MarkConflict) {
	p = p.WithDefaults()
	marks := []struct {
		name string
		v    uint32
		// routed marks are decided by our policy rules, before all that have a higher
		// priority number.
		routed, used bool
	}{
		{"mark", p.Mark, true, !p.Redirect},
		{"own_mark", p.OwnMark, false, true},
		{"local_mark", p.LocalMark, true, p.Local && !p.Redirect},
	}
	for _, u := range uses {
		program := programOf(u)
		if u.Sets {
			if u.Mask&p.MarkMask != 0 {
				out = append(out, MarkConflict{u, false, program, fmt.Sprintf("%s, of which %#x are bits of mark_mask: packets may lose our mark, or get it", u, u.Mask&p.MarkMask)})
			}
			continue
		}
		if u.Mask&p.MarkMask == 0 || u.Not {
			continue // it tells none of our marks apart
		}
		for _, m := range marks {
			if !m.used || m.v&u.Mask != u.Value || u.Value == 0 {
				continue
			}
			if u.Priority != 0 && m.routed && u.Priority > p.Priority+1 {
				continue
			}
			out = append(out, MarkConflict{u, true, program, fmt.Sprintf("%s, which our %s %#x/%#x is", u, m.name, m.v, p.MarkMask)})
			break
		}
	}
	return out
}

// refused joins the conflicts for which a plan is refused into one error.
func refused(cs []MarkConflict) error {
	for _, c := range cs {
		if !c.Refuse {
			continue
		}
		who := ""
		if c.Program != "" {
			who = " (" + c.Program + "?)"
		}
		return fmt.Errorf("mark_mask: %s%s: choose other bits (--intercept-mark-mask, -mark, -own-mark, -local-mark)", c.Text, who)
	}
	return nil
}
