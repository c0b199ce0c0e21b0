package yamlproto

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// source is one input text. It lives as long as an Index that points into it.
type source struct {
	file string
	data []byte

	once   sync.Once // guards starts, which only an error needs
	starts []int     // offset of each line

	// secret has, for each line with a part that must not be shown, the column where it begins. Written by the decoder only.
	secret map[int]int
}

// hide keeps a scalar out of every excerpt: the rest of its first line, and the lines it may go on in, which are as many as it
// has line feeds, and all that are indented deeper than the first.
func (s *source) hide(n *yaml.Node) {
	if s.secret == nil {
		s.secret = make(map[int]int)
	}
	indent := func(line int) int {
		text := s.line(line)
		return len(text) - len(strings.TrimLeft(text, " -"))
	}
	if c, ok := s.secret[n.Line]; !ok || n.Column < c {
		s.secret[n.Line] = n.Column
	}
	own, feeds := indent(n.Line), strings.Count(strings.TrimRight(n.Value, "\n"), "\n")
	for i := 1; n.Line+i <= len(s.starts); i++ {
		line := n.Line + i
		if i > feeds && strings.TrimSpace(s.line(line)) != "" && indent(line) <= own {
			return
		}
		s.secret[line] = 1
	}
}

// excerptOf returns a line as it may be shown.
func (s *source) excerptOf(n int) string {
	text := s.line(n)
	if s == nil {
		return text
	}
	if col, ok := s.secret[n]; ok {
		if rs := []rune(text); col <= len(rs) {
			text = string(rs[:col-1]) + "[redacted]"
		}
	}
	return text
}

func newSource(file string, data []byte) *source {
	return &source{file: file, data: data}
}

// line returns the n-th line, counted from 1, without its end; "" if there is none.
func (s *source) line(n int) string {
	if s == nil {
		return ""
	}
	s.once.Do(func() {
		s.starts = append(s.starts, 0)
		for i, c := range s.data {
			if c == '\n' {
				s.starts = append(s.starts, i+1)
			}
		}
	})
	if n < 1 || n > len(s.starts) {
		return ""
	}
	rest := s.data[s.starts[n-1]:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
	}
	return string(bytes.TrimSuffix(rest, []byte("\r")))
}

// sourceLimit bounds the excerpt of one error, in characters: a JSON file may be one line of megabytes.
const sourceLimit = 120

// excerpt returns the part of a line around a column (counted from 1, in characters), and the column inside that part.
// Tabs and other control characters become spaces, so that a caret below lands where it should.
func excerpt(line string, column int) (string, int) {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' '
		}
		return r
	}, line)
	rs := []rune(clean)
	if column < 1 {
		column = 1
	}
	if column > len(rs)+1 {
		column = len(rs) + 1
	}
	if len(rs) <= sourceLimit {
		return strings.TrimRight(clean, " "), column
	}
	from := max(0, column-1-sourceLimit/3)
	to := min(len(rs), from+sourceLimit)
	part, col := string(rs[from:to]), column-from
	if from > 0 {
		part, col = "…"+part, col+1
	}
	if to < len(rs) {
		part += "…"
	}
	return part, col
}
