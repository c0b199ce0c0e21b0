package support

import (
	"fmt"
	"io"
	"strings"
)

// Print writes the table as Markdown; docs/supported-fields.md is this text.
func (t *Table) Print(w io.Writer) error {
	var b strings.Builder
	b.WriteString("# Supported fields\n\n")
	b.WriteString("Generated from `config/support/*.txt` by `go test ./config/support -rewrite`; do not edit.\n\n")
	b.WriteString("Every field of Envoy's v3 API is in one of three classes. *implemented* works as Envoy documents it. *harmless* is accepted and has no effect, for the reason given. *unsupported* is an error in files; in resources of a control plane it is accepted, listed and counted, except where it is marked **always rejected**: there it bears on security, or without it the resource would be another thing. Messages and fields that are not listed are unsupported; a type in an `Any` that is not listed is always rejected.\n\n")
	counts := make(map[Class]int)
	for _, m := range t.messages {
		for _, r := range m.fields {
			counts[r.class]++
		}
	}
	fmt.Fprintf(&b, "%d messages; %d fields implemented, %d harmless, %d unsupported.\n", len(t.messages), counts[Implemented], counts[Harmless], counts[Unsupported])
	for _, s := range t.sections {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", s.file, s.doc)
		whole := false
		for _, m := range s.messages {
			if m.whole != nil {
				whole = true
				continue
			}
			fmt.Fprintf(&b, "\n### %s\n\n", m.name)
			if len(m.order) == 0 {
				b.WriteString("Implemented; has no fields.\n")
				continue
			}
			b.WriteString("| field | class | |\n| --- | --- | --- |\n")
			for _, name := range m.order {
				field, value, isValue := strings.Cut(name, "=")
				r := m.fields[name]
				if isValue {
					r = m.values[field][value]
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, r.label(), r.note())
			}
		}
		if !whole {
			continue
		}
		b.WriteString("\n| type | class | |\n| --- | --- | --- |\n")
		for _, m := range s.messages {
			if m.whole == nil {
				continue
			}
			name := m.name
			if !m.isType {
				name += " (TypedStruct)"
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", name, m.whole.label(), m.whole.note())
		}
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print the support table: %w", err)
	}
	return nil
}

func (r rule) label() string {
	if r.security {
		return "**always rejected**"
	}
	return r.class.String()
}

func (r rule) note() string {
	s := r.reason
	if r.alternative != "" {
		if s != "" {
			s += "; "
		}
		s += "use " + r.alternative
	}
	return strings.ReplaceAll(s, "|", `\|`)
}
