package doctor

import (
	"fmt"
	"strings"
)

// Markdown is the table of checks for docs/doctor.md.
func Markdown() string {
	var b strings.Builder
	title := map[byte]string{
		'1': "The kernel and the process", '2': "Settings and interfaces", '3': "The way to the listener",
		'4': "What runs out", '5': "What is around", '6': "The configuration",
	}
	var group byte
	for _, c := range Checks() {
		if c.Code[2] != group {
			group = c.Code[2]
			fmt.Fprintf(&b, "\n### %s\n\n| code | name | level | looks at | why it matters | mended by | follows from |\n| --- | --- | --- | --- | --- | --- | --- |\n", title[group])
		}
		cell := func(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n", c.Code, c.Name, c.Level, cell(c.Sees), cell(c.Why), cell(c.Fix), strings.Join(c.Needs, " "))
	}
	return b.String()
}
