package accesslog

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// kind is what an operator wrote.
type kind uint8

const (
	none   kind = iota // nothing: the value is missing
	text               // bytes from anywhere, to be escaped
	number             // a JSON number
)

// An op is a piece of text, or an operator. It is immutable.
type op struct {
	text  string // the piece of text; an operator's text argument otherwise
	value valuer // nil of a piece of text
	max   int    // %OPERATOR%:N, bytes; -1 is no limit

	name, alt header.Name // REQ(name?alt)
	flag      uint8       // an operator's choice among its variants
	from, to  moment      // COMMON_DURATION
	layout    layout      // START_TIME
}

// A valuer appends an operator's value. What it writes before none is dropped.
// Its arguments are on the heap already, so that calling it through a pointer
// moves nothing there.
type valuer func(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind)

// parseOps splits a format into text and operators; "%%" is a percent sign
// (Envoy: SubstitutionFormatParser).
func parseOps(s string) ([]op, error) {
	var ops []op
	var lit strings.Builder
	flush := func() {
		if lit.Len() > 0 {
			ops = append(ops, op{text: lit.String()})
			lit.Reset()
		}
	}
	for pos := 0; pos < len(s); {
		rest := s[pos:]
		switch {
		case rest[0] != '%':
			n := strings.IndexByte(rest, '%')
			if n < 0 {
				n = len(rest)
			}
			lit.WriteString(rest[:n])
			pos += n
			continue
		case strings.HasPrefix(rest, "%%"):
			lit.WriteByte('%')
			pos += 2
			continue
		}
		cm, n, ok := cutCommand(rest)
		if !ok {
			return nil, fmt.Errorf("incorrect configuration: %s: no valid command at position %d", s, pos)
		}
		o, err := compile(cm)
		if err != nil {
			return nil, err
		}
		flush()
		ops = append(ops, o)
		pos += n
	}
	flush()
	return ops, nil
}

// A command is an operator as it is written: %NAME(args):max%.
type command struct {
	name, args string
	max        int
	hasMax     bool
}

// cutCommand reads the command s begins with and gives its length.
func cutCommand(s string) (c command, n int, ok bool) {
	i := 1
	for i < len(s) && (s[i] == '_' || 'A' <= s[i] && s[i] <= 'Z' || '0' <= s[i] && s[i] <= '9') {
		i++
	}
	c.name = s[1:i]
	if c.name == "" {
		return c, 0, false
	}
	if i >= len(s) || s[i] != '(' {
		n, ok = c.cutEnd(s, i)
		return c, n, ok
	}
	// The arguments end at the first parenthesis that can end the command: those
	// of START_TIME have percent signs themselves.
	for j := i + 1; j < len(s); j++ {
		if s[j] != ')' {
			continue
		}
		if n, ok = c.cutEnd(s, j+1); ok {
			c.args = s[i+1 : j]
			return c, n, true
		}
	}
	return c, 0, false
}

// cutEnd reads `%` or `:N%` at i.
func (c *command) cutEnd(s string, i int) (n int, ok bool) {
	if i < len(s) && s[i] == ':' {
		j := i + 1
		for j < len(s) && '0' <= s[j] && s[j] <= '9' {
			j++
		}
		v, err := strconv.Atoi(s[i+1 : j])
		if err != nil {
			return 0, false
		}
		c.max, c.hasMax = v, true
		i = j
	}
	if i < len(s) && s[i] == '%' {
		return i + 1, true
	}
	c.max, c.hasMax = 0, false
	return 0, false
}

// compile finds a command's operator. The messages are Envoy's, apart from the
// one for what only Envoy has.
func compile(c command) (op, error) {
	e, known := operators[c.name]
	if !known {
		if elsewhere(c.name) {
			return op{}, fmt.Errorf("valid in Envoy, not supported here: %s", c.name)
		}
		//lint:ignore ST1005 Envoy's words
		return op{}, fmt.Errorf("Not supported field in StreamInfo: %s", c.name)
	}
	switch {
	case e.takes == nothing && (c.args != "" || c.hasMax):
		return op{}, fmt.Errorf("%s does not take any parameters or length", c.name)
	case e.takes&required != 0 && c.args == "":
		return op{}, fmt.Errorf("%s requires parameters", c.name)
	case e.takes&length == 0 && c.hasMax:
		//lint:ignore ST1005 Envoy's words
		return op{}, fmt.Errorf("%s does not allow length to be specified.", c.name)
	case e.takes&(required|optional) == 0 && c.args != "":
		return op{}, fmt.Errorf("%s does not take any parameters", c.name)
	}
	o := op{value: e.value, max: -1, flag: e.flag}
	if c.hasMax {
		o.max = c.max
	}
	if e.args != nil {
		if err := e.args(&o, c.args); err != nil {
			return op{}, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return o, nil
}

// headerArgs reads "X" or "X?Y".
func headerArgs(o *op, args string) error {
	first, second, two := strings.Cut(args, "?")
	if strings.Contains(second, "?") {
		return errors.New("more than 1 alternative header specified")
	}
	if err := match.HeaderName(first); err != nil {
		return fmt.Errorf("invalid header configuration: %w", err)
	}
	o.name = header.Intern(first)
	if two {
		if err := match.HeaderName(second); err != nil {
			return fmt.Errorf("invalid header configuration: %w", err)
		}
		o.alt = header.Intern(second)
	}
	return nil
}
