package intercept

import (
	"fmt"
	"strings"
)

// Render prints what Apply does, for people and for golden tests: the table in
// the syntax of nft(8), which nft can load, or what iptables-restore reads, then the policy rules and routes as
// commands of ip(8). The plan should be valid.
func (p Plan) Render() string {
	p = p.WithDefaults()
	var b strings.Builder
	if p.Backend == NFT {
		compile(p).render(&b)
		if p.closes() {
			b.WriteByte('\n')
			compileClosed(p).render(&b)
		}
	} else {
		renderIPTables(p, &b)
	}
	b.WriteByte('\n')
	for _, r := range p.routing() {
		fmt.Fprintln(&b, r)
	}
	for _, s := range p.Sysctls {
		fmt.Fprintf(&b, "sysctl -w %s=%s\n", s.Key, s.Value)
	}
	return b.String()
}

// render prints the table.
func (pr *program) render(b *strings.Builder) {
	fmt.Fprintf(b, "table inet %s {\n", pr.table)
	fmt.Fprintf(b, "\tcomment %q\n", pr.comment)
	for _, s := range pr.sets {
		fmt.Fprintf(b, "\n\tset %s {\n\t\ttype %s\n", s.name, s.kind.typ())
		fmt.Fprintf(b, "\t\tflags %s\n", s.kind.flags())
		if len(s.texts) > 0 {
			fmt.Fprintf(b, "\t\telements = { %s }\n", strings.Join(s.texts, ", "))
		}
		b.WriteString("\t}\n")
	}
	for _, c := range pr.chains {
		fmt.Fprintf(b, "\n\tchain %s {\n", c.name)
		if h := c.hook; h != nil {
			fmt.Fprintf(b, "\t\ttype %s hook %s priority %d; policy accept;\n", h.typ, h.name, h.priority)
		}
		for _, r := range c.rules {
			fmt.Fprintf(b, "\t\t%s comment %q\n", r.text, r.comment)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
}
