package intercept

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// The words that rules of iptables are made of.

func words(w ...string) []string { return w }

func concat(parts ...[]string) []string { return slices.Concat(parts...) }

// notSYN matches TCP packets other than the first of a connection.
func notSYN() []string { return words("-m", "tcp", "!", "--tcp-flags", "FIN,SYN,RST,ACK", "SYN") }

// markText is how iptables-save prints a mark to match.
func markText(mark, mask uint32) string {
	if mask == 0xffffffff {
		return fmt.Sprintf("%#x", mark)
	}
	return markMask(mark, mask)
}

// markMask is how iptables-save prints a mark to set.
func markMask(mark, mask uint32) string { return fmt.Sprintf("0x%x/0x%x", mark, mask) }

// chain adds a chain.
func (c *iptCompiler) chain(end string) *iptChain {
	ch := &iptChain{name: iptName(c.p.Name, end)}
	c.t.chains = append(c.t.chains, ch)
	return ch
}

// to is a jump or a goto to a chain of ours.
func (c *iptCompiler) to(how, end string) []string { return words(how, iptName(c.p.Name, end)) }

// add appends a rule; its comment comes after the matches, as the last match.
func (c *iptCompiler) add(ch *iptChain, comment string, w ...string) {
	ch.rules = append(ch.rules, iptRule{words: withComment(comment, w)})
}

// jump adds the way from a chain of the kernel's to ours.
func (c *iptCompiler) jump(from, end string) { c.jumpWith(from, end, "-p", "tcp") }

// jumpWith is jump for packets that match.
func (c *iptCompiler) jumpWith(from, end string, match ...string) {
	c.t.jumps = append(c.t.jumps, iptRule{chain: from, words: withComment("weir "+c.p.Name, concat(match, c.to("-j", end)))})
}

// withComment puts the comment before the target.
func withComment(comment string, w []string) []string {
	if comment == "" {
		return w
	}
	at := slices.IndexFunc(w, func(s string) bool { return s == "-j" || s == "-g" })
	return slices.Insert(slices.Clone(w), at, "-m", "comment", "--comment", comment)
}

// comment is the rule's comment, empty without one.
func (r iptRule) comment() string {
	if i := slices.Index(r.words, "--comment"); i >= 0 && i+1 < len(r.words) {
		return r.words[i+1]
	}
	return ""
}

// target is where the rule leads: a chain, or what is done.
func (r iptRule) target() string {
	i := slices.IndexFunc(r.words, func(s string) bool { return s == "-j" || s == "-g" })
	if i < 0 || i+1 >= len(r.words) {
		return ""
	}
	return r.words[i+1]
}

// String is the rule as iptables-restore reads it, without -A and the chain.
func (r iptRule) String() string {
	var b strings.Builder
	for i, w := range r.words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quoteWord(w))
	}
	return b.String()
}

// quoteWord quotes what iptables-restore would split or end.
func quoteWord(w string) string {
	if w != "" && !strings.ContainsAny(w, " \t\"'\\;#") {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

// cidrs matches the prefixes of the compiler's family, each by one rule's words;
// those that another one covers are left out. A prefix of no bits matches all.
func (c *iptCompiler) cidrs(prefixes []netip.Prefix) [][]string {
	var out [][]string
	for _, p := range minimal(prefixes, c.v6) {
		if p.Bits() == 0 {
			return [][]string{nil}
		}
		out = append(out, words("-d", p.String()))
	}
	return out
}

// minimal are the prefixes of one family, sorted, without those within others.
func minimal(prefixes []netip.Prefix, v6 bool) []netip.Prefix {
	var in []netip.Prefix
	for _, p := range prefixes {
		if p.IsValid() && p.Addr().Is6() == v6 {
			in = append(in, p.Masked())
		}
	}
	slices.SortFunc(in, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var out []netip.Prefix
	for _, p := range in {
		if n := len(out); n > 0 && out[n-1].Overlaps(p) {
			continue // sorted: what overlaps the last one is within it
		}
		out = append(out, p)
	}
	return out
}

// multiportMax is how many ports one multiport match takes; a range counts twice.
const multiportMax = 15

// multiports writes ranges as the lists of multiport matches.
func multiports(ranges []PortRange) []string {
	var out []string
	var list []string
	n := 0
	for _, r := range mergePorts(ranges) {
		text, cost := fmt.Sprint(r.From), 1
		if r.To != r.From {
			text, cost = fmt.Sprintf("%d:%d", r.From, r.To), 2
		}
		if n+cost > multiportMax {
			out = append(out, strings.Join(list, ","))
			list, n = nil, 0
		}
		list, n = append(list, text), n+cost
	}
	if list != nil {
		out = append(out, strings.Join(list, ","))
	}
	return out
}
