package yamlproto

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Position is a place in an input text. Line and Column count from 1; Column counts characters, not bytes.
type Position struct {
	File         string
	Line, Column int
}

// String prints "file:line:column", or "line:column" when there is no file.
func (p Position) String() string {
	s := strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Column)
	if p.File != "" {
		s = p.File + ":" + s
	}
	return s
}

// Error is one mistake in an input text.
type Error struct {
	// Pos is where it is.
	Pos Position
	// Path is the field path of the offending or of the enclosing field ("static_resources.listeners[0].address"); "" is the
	// whole message.
	Path string
	// Message says what is wrong, in one line, without position and path.
	Message string
	// Source is the line of the text at Pos; "" when it is not known.
	Source string
	// Suggestion says what may have been meant, as a question or an instruction; "" when nothing is near.
	Suggestion string
	// Valid lists the names that are valid at this place, sorted; nil when the mistake is not about a name.
	Valid []string

	cause error
}

// Error prints the mistake in one line: position, path, message and suggestion. It is what a NACK carries.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Pos.Line > 0 {
		b.WriteString(e.Pos.String())
		b.WriteString(": ")
	}
	if e.Path != "" {
		b.WriteString(e.Path)
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	if e.Suggestion != "" {
		b.WriteString(" (")
		b.WriteString(e.Suggestion)
		b.WriteString(")")
	}
	return b.String()
}

// Unwrap returns the error that was given to [Index.Wrap].
func (e *Error) Unwrap() error { return e.cause }

// Detail prints the mistake for a person: position and message, the path, the line of the text with a caret under the column,
// the suggestion and the valid names. It ends with a line feed.
func (e *Error) Detail() string {
	var b strings.Builder
	if e.Pos.Line > 0 {
		b.WriteString(e.Pos.String())
		b.WriteString(": ")
	}
	b.WriteString(e.Message)
	b.WriteByte('\n')
	if e.Source != "" {
		text, col := excerpt(e.Source, e.Pos.Column)
		no := strconv.Itoa(e.Pos.Line)
		margin := strings.Repeat(" ", max(0, 5-len(no)))
		b.WriteString(margin + no + " | " + text + "\n")
		b.WriteString("      | " + strings.Repeat(" ", col-1) + "^\n")
	}
	if e.Path != "" {
		b.WriteString("      in " + e.Path + "\n")
	}
	if e.Suggestion != "" {
		b.WriteString("      " + e.Suggestion + "\n")
	}
	if len(e.Valid) > 0 {
		b.WriteString(wrapWords("      valid here: ", e.Valid))
	}
	return b.String()
}

// wrapWords prints words separated by commas, in lines of about 110 columns.
func wrapWords(head string, words []string) string {
	var b strings.Builder
	b.WriteString(head)
	col := len(head)
	for i, w := range words {
		if i > 0 {
			b.WriteByte(',')
			if col+len(w) > 108 {
				b.WriteString("\n        ")
				col = 8
			} else {
				b.WriteByte(' ')
				col += 2
			}
		}
		b.WriteString(w)
		col += len(w)
	}
	b.WriteByte('\n')
	return b.String()
}

// Errors is every mistake found in one text, in the order of the text.
type Errors []*Error

// Error prints all mistakes, each as by [Error.Detail].
func (es Errors) Error() string {
	var b strings.Builder
	for _, e := range es {
		b.WriteString(e.Detail())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap returns the single errors, for errors.As and errors.Is.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// Sorted orders by position and drops repetitions: a mistake behind an anchor is met once per alias, and is one mistake.
func (es Errors) Sorted() Errors {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Column, b.Pos.Column),
		)
	})
	return slices.CompactFunc(es, func(a, b *Error) bool {
		return a.Pos == b.Pos && a.Message == b.Message && (a.Pos.Line > 0 || a.Path == b.Path)
	})
}
