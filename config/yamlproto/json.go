package yamlproto

import (
	"bytes"
	"encoding/json"

	"go.yaml.in/yaml/v3"
)

// jsonReader builds YAML nodes from valid JSON, with the position of each value. It reads every byte once: a file may be one line of
// megabytes.
type jsonReader struct {
	data []byte
	at   int // of the next byte

	// The position of counted, which only grows; columns are counted in characters.
	counted, line, col int

	spare []yaml.Node // nodes are made in blocks
}

// parseJSON needs valid JSON (json.Valid), which also bounds its depth.
func parseJSON(data []byte) *yaml.Node {
	r := &jsonReader{data: data, line: 1, col: 1}
	return r.value()
}

func (r *jsonReader) node() *yaml.Node {
	if len(r.spare) == 0 {
		r.spare = make([]yaml.Node, 64)
	}
	n := &r.spare[0]
	r.spare = r.spare[1:]
	return n
}

// skip goes on to the next byte that is not blank, a comma or a colon, and gives it; 0 is the end.
func (r *jsonReader) skip() byte {
	for ; r.at < len(r.data); r.at++ {
		switch c := r.data[r.at]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// value reads one value.
func (r *jsonReader) value() *yaml.Node {
	n, c := r.node(), r.skip()
	n.Kind = yaml.ScalarNode
	n.Line, n.Column = r.position()
	switch c {
	case '{', '[':
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
		if c == '[' {
			n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		}
		r.at++
		for c := r.skip(); c != '}' && c != ']' && c != 0; c = r.skip() {
			n.Content = append(n.Content, r.value())
		}
		r.at++
	case '"':
		n.Tag, n.Value, n.Style = "!!str", r.text(), yaml.DoubleQuotedStyle
	default:
		switch word := r.word(); word {
		case "true", "false":
			n.Tag, n.Value = "!!bool", word
		case "null":
			n.Tag, n.Value = "!!null", word
		default:
			n.Tag, n.Value, n.Style = "!!int", word, yaml.TaggedStyle // a number for certain
			if bytes.ContainsAny([]byte(word), ".eE") {
				n.Tag = "!!float"
			}
		}
	}
	return n
}

// text reads a string with its quotes.
func (r *jsonReader) text() string {
	start, plain := r.at, true
	for r.at++; r.at < len(r.data) && r.data[r.at] != '"'; r.at++ {
		if c := r.data[r.at]; c == '\\' {
			r.at, plain = r.at+1, false
		} else if c >= 0x80 {
			plain = false // may be no UTF-8
		}
	}
	r.at = min(r.at+1, len(r.data))
	if plain {
		return string(r.data[start+1 : max(start+1, r.at-1)])
	}
	var s string
	_ = json.Unmarshal(r.data[start:r.at], &s) // it is valid
	return s
}

// word reads what is neither a string nor a list nor an object.
func (r *jsonReader) word() string {
	start := r.at
	for ; r.at < len(r.data); r.at++ {
		if c := r.data[r.at]; c <= ' ' || c == ',' || c == ']' || c == '}' {
			break
		}
	}
	return string(r.data[start:r.at])
}

// position is the line and column of the next byte.
func (r *jsonReader) position() (line, col int) {
	for ; r.counted < r.at; r.counted++ {
		switch c := r.data[r.counted]; {
		case c == '\n':
			r.line, r.col = r.line+1, 1
		case c&0xc0 != 0x80: // begins a character
			r.col++
		}
	}
	return r.line, r.col
}
