package doctor

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weirproxy/weir/proxy/intercept"
)

// again is the command that applies a recorded plan again.
func again(code string) []string { return []string{"weir doctor --fix --only " + code} }

// reapply makes the finding's fix: by the command, or by the process that holds the
// table.
func (x *Finding) reapply(r *Rules) {
	if r.Status.Mode == intercept.Resident.String() || r.Status.Recorded == intercept.Resident.String() && r.OwnerAlive {
		x.Advice = fmt.Sprintf("the process %d holds the rules: restart it (systemctl restart weir)", r.Status.PID)
		return
	}
	x.Advice = "the plan is that of the record in " + intercept.RuntimeDir()
	x.repairs = []repair{{kind: reapplyPlan, plan: *r.Status.Plan}}
}

// differences are what Verify found of one of the codes.
func (r *Rules) differences(codes ...string) (out []string) {
	for _, x := range r.Found {
		if slices.Contains(codes, x.Code) {
			out = append(out, x.Text)
		}
	}
	return out
}

func tableMissing(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		if found := r.differences("table-missing", "table-dormant"); len(found) > 0 {
			x := Finding{
				Object: "rules " + r.Status.Name, Text: fmt.Sprintf("the table of rules %s is not in force", r.Status.Name), Evidence: found,
				Fix: again("WD301"),
			}
			if x.reapply(r); len(x.repairs) == 0 {
				x.Fix = nil
			}
			out = append(out, x)
		}
	}
	return out
}

func leftovers(f *Facts) (out []Finding) {
	for i := range f.Rules {
		r := &f.Rules[i]
		if !r.left() {
			continue
		}
		x := Finding{
			Level: Note, Object: "rules " + r.Status.Name, Text: fmt.Sprintf("rules %s were left by the process %d, which is gone", r.Status.Name, r.Status.PID),
			Fix:     []string{"weir intercept down --name " + r.Status.Name},
			Advice:  "the next start of Weir clears them too",
			repairs: []repair{{kind: removeRules, name: r.Status.Name}},
		}
		for _, p := range r.Status.Routing {
			if p.Present {
				x.Level = Warning
				x.Evidence = append(x.Evidence, "still there: "+p.Command)
			}
		}
		out = append(out, x)
	}
	return out
}

func rulesChanged(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		found := r.differences("chain-missing", "hook-drift", "chain-foreign", "set-drift", "rule-missing", "rule-drift", "rule-foreign")
		if len(found) == 0 {
			continue
		}
		x := Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("the rules of %s are not as planned", r.Status.Name), Evidence: few(found), Fix: again("WD303"),
		}
		if x.reapply(r); len(x.repairs) == 0 {
			x.Fix = nil
		}
		out = append(out, x)
	}
	return out
}

func routeMissing(f *Facts) []Finding  { return routing(f, "WD304", "route-missing", true) }
func policyMissing(f *Facts) []Finding { return routing(f, "WD305", "ip-rule-missing", false) }

// routing makes a finding of what is missing of a plan's routes or policy rules.
func routing(f *Facts, _, code string, routes bool) (out []Finding) {
	for _, r := range f.wanted() {
		if len(r.differences(code)) == 0 {
			continue
		}
		x := Finding{Object: "rules " + r.Status.Name, repairs: []repair{{kind: mendRouting, plan: *r.Status.Plan}}}
		x.Text = fmt.Sprintf("policy rules of rules %s are missing", r.Status.Name)
		if routes {
			x.Text = fmt.Sprintf("routes of rules %s are missing", r.Status.Name)
		}
		for _, d := range r.Found {
			if d.Code == code {
				x.Evidence = append(x.Evidence, "not there: "+strings.TrimPrefix(d.Fix, "ip "))
				x.Fix = append(x.Fix, d.Fix)
			}
		}
		out = append(out, x)
	}
	return out
}

func shadowed(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		p := r.Status.Plan.WithDefaults()
		for _, v6 := range families(&p) {
			ip := "ip -4"
			if v6 {
				ip = "ip -6"
			}
			for i := range f.Policy {
				q := &f.Policy[i]
				// Priority 0 is the kernel's table local, which comes first always.
				if q.V6 != v6 || q.Priority == 0 || q.Priority > p.Priority+1 || f.own(q.Protocol) || q.NoDefault || !q.Catches(p.Mark) {
					continue
				}
				x := Finding{
					Object: "rules " + r.Status.Name, Text: fmt.Sprintf("a policy rule of another program catches intercepted %s packets first", familyName(v6)),
					Evidence: []string{ip + " rule: " + q.String(), fmt.Sprintf("ours: %d, fwmark %#x/%#x", p.Priority+1, p.Mark, p.MarkMask)},
					Advice:   "or give Weir's rules an earlier place, or other marks (--intercept-mark)",
				}
				if rule, ok := strings.CutPrefix(q.String(), fmt.Sprintf("%d: ", q.Priority)); ok {
					x.Fix = []string{
						fmt.Sprintf("%s rule add pref %d %s", ip, p.Priority+1000, rule),
						fmt.Sprintf("%s rule del pref %d %s", ip, q.Priority, rule),
					}
				}
				out = append(out, x)
			}
		}
	}
	return out
}

// own tells whether a policy rule carries our protocol number.
func (f *Facts) own(protocol uint8) bool { return protocol == intercept.Protocol }

// judged are the codes of Verify that other checks tell, or that are told better.
var judged = []string{
	"table-missing", "table-dormant", "chain-missing", "hook-drift", "chain-foreign", "set-drift", "rule-missing", "rule-drift", "rule-foreign",
	"route-missing", "ip-rule-missing", "ip-rule-shadowed", "sysctl-drift", "forwarding-off", "interface-missing", "rp-filter-strict", "not-listening",
}

func otherwise(f *Facts) (out []Finding) {
	for _, r := range f.wanted() {
		for _, x := range r.Found {
			if slices.Contains(judged, x.Code) {
				continue
			}
			y := Finding{Object: "rules " + r.Status.Name, Text: x.Text, Evidence: []string{x.Code}, Advice: x.Fix}
			if x.Level == intercept.Note {
				y.Level = Note
			}
			out = append(out, y)
		}
		if r.Error != "" {
			out = append(out, Finding{Object: "rules " + r.Status.Name, Text: r.Error})
		}
	}
	return out
}

func nothingTaken(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		if r.Status.Intercepted()+r.Status.Missed() > 0 {
			continue
		}
		out = append(out, Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("rules %s have seen no connection", r.Status.Name),
			Evidence: []string{"weir intercept status --name " + r.Status.Name + ": 0 intercepted, 0 missed"},
			Advice:   "ask for a canary: weir doctor --canary IP:PORT; on a client: ip route get IP must lead here",
		})
	}
	return out
}

func notInstalled(f *Facts) (out []Finding) {
	if f.Live == nil || len(f.wanted()) > 0 {
		return nil
	}
	for _, l := range f.Live.Listeners {
		if !l.Transparent || len(l.Addresses) == 0 {
			continue
		}
		level := Warning
		if f.Live.Offline {
			level = Note // they may be made when it starts
		}
		out = append(out, Finding{
			Level: level, Object: "listener " + l.Name, Text: fmt.Sprintf("listener %s is transparent, and no rules lead to it", l.Name),
			Fix:    []string{fmt.Sprintf("weir intercept up --port %d", l.Addresses[0].Port())},
			Advice: "or start Weir with --intercept; ignore it when another program's rules lead there",
		})
	}
	return out
}

func guardMissing(f *Facts) (out []Finding) {
	for _, r := range f.active() {
		if !r.Status.Plan.Lease || r.Status.Guard != 0 || r.Status.Recorded != intercept.Installed.String() || r.OwnerAlive {
			continue
		}
		out = append(out, Finding{
			Object: "rules " + r.Status.Name, Text: fmt.Sprintf("no guard runs for rules %s", r.Status.Name),
			Evidence: []string{fmt.Sprintf("they take connections while a lease is renewed; %d wanted connections passed by", r.Status.Missed())},
			Fix:      []string{fmt.Sprintf("setsid weir intercept guard --name %s </dev/null >/dev/null 2>&1 &", r.Status.Name)},
			Advice:   "for good: as a service, weir intercept guard --name " + r.Status.Name,
		})
	}
	return out
}
