package intercept

import (
	"fmt"
	"slices"
	"strings"
)

// parseSave reads what iptables-save -c prints: all tables with all chains; the
// rules of chains that are not user-defined are the jumps. A line that it does not
// understand is left out: others' rules may hold anything.
func parseSave(text string) []*iptTable {
	var out []*iptTable
	var t *iptTable
	chains := map[string]*iptChain{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			t = &iptTable{name: line[1:]}
			out = append(out, t)
			clear(chains)
		case t == nil || line == "" || line[0] == '#' || line == "COMMIT":
		case line[0] == ':':
			if f := strings.Fields(line[1:]); len(f) >= 2 && f[1] == "-" {
				c := &iptChain{name: f[0]}
				t.chains = append(t.chains, c)
				chains[c.name] = c
			}
		default:
			var r iptRule
			if rest, ok := strings.CutPrefix(line, "["); ok {
				counters, after, _ := strings.Cut(rest, "] ")
				_, _ = fmt.Sscanf(counters, "%d:%d", &r.packets, &r.bytes)
				line = after
			}
			w := splitWords(line)
			if len(w) < 3 || w[0] != "-A" {
				continue
			}
			r.chain, r.words = w[1], w[2:]
			if c := chains[r.chain]; c != nil {
				r.chain = ""
				c.rules = append(c.rules, r)
			} else {
				t.jumps = append(t.jumps, r)
			}
		}
	}
	return out
}

// splitWords splits a rule as iptables-restore does: words in quotes, with
// backslashes within.
func splitWords(line string) []string {
	var out []string
	var b strings.Builder
	quoted, in := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '"':
			quoted, in = !quoted, true
		case (c == ' ' || c == '\t') && !quoted:
			if in {
				out = append(out, b.String())
				b.Reset()
			}
			in = false
		default:
			in = true
			b.WriteByte(c)
		}
	}
	if in {
		out = append(out, b.String())
	}
	return out
}

// ours keeps of the observed tables what belongs to the plan of that name, and
// leaves out tables where nothing does.
func ours(all []*iptTable, plan string) []*iptTable {
	prefix := iptName(plan, "")
	mine := func(name string) bool {
		end, ok := strings.CutPrefix(name, prefix)
		return ok && !strings.Contains(end, "-")
	}
	var out []*iptTable
	for _, t := range all {
		m := &iptTable{name: t.name}
		for _, c := range t.chains {
			if mine(c.name) {
				m.chains = append(m.chains, c)
			}
		}
		for _, j := range t.jumps {
			if mine(j.target()) {
				m.jumps = append(m.jumps, j)
			}
		}
		if len(m.chains) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// planNames are the plans that the observed tables hold, with their comments: by
// the rule of the chain that nothing leads to.
func planNames(all []*iptTable) (out []installed) {
	for _, t := range all {
		for _, c := range t.chains {
			if !strings.HasPrefix(c.name, tablePrefix) || !strings.HasSuffix(c.name, "-"+iptInfo) || len(c.rules) == 0 {
				continue
			}
			name, comment, ok := strings.Cut(c.rules[0].comment(), ": ")
			if ok && validName(name) && c.name == iptName(name, iptInfo) && !slices.ContainsFunc(out, func(i installed) bool { return i.name == name }) {
				out = append(out, installed{name: name, comment: comment})
			}
		}
	}
	return out
}

// sameWords compares a planned rule with an observed one: other versions of
// iptables leave out what is the default, or say it.
func sameWords(a, b []string) bool { return slices.Equal(plainWords(a), plainWords(b)) }

// plainWords leaves out what says nothing.
func plainWords(w []string) []string {
	var out []string
	for i := 0; i < len(w); i++ {
		if w[i] == "--on-ip" && i+1 < len(w) && (w[i+1] == "0.0.0.0" || w[i+1] == "::") {
			i++
			continue
		}
		out = append(out, w[i])
	}
	return out
}
