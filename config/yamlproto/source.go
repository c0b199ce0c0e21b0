package yamlproto

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

// source is one input text. It lives as long as an Index that points into it.
type source struct {
	file string
	data []byte

	once   sync.Once // guards starts, which only an error needs
	starts []int     // offset of each line
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
