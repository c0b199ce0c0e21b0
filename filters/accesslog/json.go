package accesslog

import (
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/stream"
)

// A node is a value of a JSON format.
type node struct {
	kind nodeKind
	text []byte // nodeConst: the value; written as it is
	ops  []op   // nodeValue, nodeText
	miss string // nodeText
	omit bool   // nodeObject: members without a value are left out

	keys  [][]byte // nodeObject: quoted, with the colon
	items []node   // nodeObject, nodeArray
}

type nodeKind uint8

const (
	nodeConst  nodeKind = iota + 1
	nodeValue           // one operator: a number stays a number, a missing value is null
	nodeText            // text and operators: a string
	nodeObject          // members sorted by key
	nodeArray
)

// parseJSON compiles the object of a json_format.
func parseJSON(l *fielderr.List, path string, s *structpb.Struct, miss string, omit bool) node {
	n := node{kind: nodeObject, omit: omit}
	keys := make([]string, 0, len(s.GetFields()))
	for k := range s.GetFields() {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		v := parseValue(l, fielderr.Key(path, k), s.Fields[k], miss, omit)
		n.keys = append(n.keys, append(quoted(k), ':'))
		n.items = append(n.items, v)
	}
	return n
}

func parseValue(l *fielderr.List, path string, v *structpb.Value, miss string, omit bool) node {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StringValue:
		ops, err := parseOps(k.StringValue)
		l.Add(path, err)
		switch {
		case len(ops) == 1 && ops[0].value != nil:
			return node{kind: nodeValue, ops: ops}
		case len(ops) == 0 || len(ops) == 1:
			lit := ""
			if len(ops) == 1 {
				lit = ops[0].text
			}
			return node{kind: nodeConst, text: quoted(lit)}
		}
		for i := range ops {
			if ops[i].value == nil {
				q := quoted(ops[i].text)
				ops[i].text = string(q[1 : len(q)-1])
			}
		}
		return node{kind: nodeText, ops: ops, miss: miss}
	case *structpb.Value_NumberValue:
		return node{kind: nodeConst, text: appendFloat(nil, k.NumberValue)}
	case *structpb.Value_BoolValue:
		return node{kind: nodeConst, text: strconv.AppendBool(nil, k.BoolValue)}
	case *structpb.Value_StructValue:
		return parseJSON(l, path, k.StructValue, miss, omit)
	case *structpb.Value_ListValue:
		n := node{kind: nodeArray}
		for i, e := range k.ListValue.GetValues() {
			n.items = append(n.items, parseValue(l, fielderr.Index(path, i), e, miss, omit))
		}
		return n
	}
	return node{kind: nodeConst, text: []byte("null")}
}

// appendFloat writes whole numbers without an exponent.
func appendFloat(dst []byte, v float64) []byte {
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return append(dst, "null"...)
	case v == math.Trunc(v) && math.Abs(v) < 1<<53:
		return strconv.AppendInt(dst, int64(v), 10)
	}
	return strconv.AppendFloat(dst, v, 'g', -1, 64)
}

func quoted(s string) []byte {
	b := escape(append([]byte{'"'}, s...), 1, jsonEscapes)
	return append(b, '"')
}

// append writes the value.
func (n *node) append(dst []byte, c *conn.Conn, s *stream.Stream) []byte {
	switch n.kind {
	case nodeConst:
		return append(dst, n.text...)
	case nodeValue:
		return n.appendValue(dst, c, s)
	case nodeText:
		dst = append(dst, '"')
		dst = appendOps(dst, n.ops, n.miss, jsonEscapes, c, s)
		return append(dst, '"')
	case nodeArray:
		dst = append(dst, '[')
		for i := range n.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = n.items[i].append(dst, c, s)
		}
		return append(dst, ']')
	}
	dst = append(dst, '{')
	first := true
	for i := range n.items {
		from := len(dst)
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, n.keys[i]...)
		value := len(dst)
		dst = n.items[i].append(dst, c, s)
		if n.omit && n.items[i].kind == nodeValue && string(dst[value:]) == "null" {
			dst = dst[:from]
			continue
		}
		first = false
	}
	return append(dst, '}')
}

// appendValue writes one operator's value with its type.
func (n *node) appendValue(dst []byte, c *conn.Conn, s *stream.Stream) []byte {
	o := &n.ops[0]
	from := len(dst)
	dst, k := o.value(append(dst, '"'), o, c, s)
	switch k {
	case none:
		return append(dst[:from], "null"...)
	case number:
		copy(dst[from:], dst[from+1:])
		return dst[:len(dst)-1]
	}
	if o.max >= 0 && len(dst)-from-1 > o.max {
		dst = dst[:from+1+o.max]
		for cut := 0; cut < utf8.UTFMax && len(dst) > from+1; cut++ { // no half of a character
			if r, n := utf8.DecodeLastRune(dst[from+1:]); r != utf8.RuneError || n != 1 {
				break
			}
			dst = dst[:len(dst)-1]
		}
	}
	return append(escape(dst, from+1, jsonEscapes), '"')
}
