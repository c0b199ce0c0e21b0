package yamlproto

import (
	"encoding/base64"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// scalarNode reads one scalar and makes its index entry.
func (d *decoder) scalarNode(n *yaml.Node, fd protoreflect.FieldDescriptor) (entry, protoreflect.Value, bool) {
	target, done, ok := d.resolve(n)
	defer done()
	e := d.entryAt(n, kindScalar)
	if !ok {
		return e, protoreflect.Value{}, false
	}
	if d.secret > 0 && target.Kind == yaml.ScalarNode && (fd.Kind() == protoreflect.StringKind || fd.Kind() == protoreflect.BytesKind) {
		return d.secretScalar(e, target, fd)
	}
	v, ok := d.scalar(target, fd)
	return e, v, ok
}

// scalar reads one scalar of a field, list or map value.
func (d *decoder) scalar(n *yaml.Node, fd protoreflect.FieldDescriptor) (v protoreflect.Value, ok bool) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, "want %s, found %s", wants(fd), describe(n))
		return v, false
	}
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return d.boolean(n)
	case protoreflect.EnumKind:
		return d.enum(n, fd)
	case protoreflect.StringKind:
		return d.text(n)
	case protoreflect.BytesKind:
		return d.bytes(n)
	case protoreflect.FloatKind:
		return d.float(n, 32)
	case protoreflect.DoubleKind:
		return d.float(n, 64)
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		u, ok := d.unsigned(n, 32)
		return protoreflect.ValueOfUint32(uint32(u)), ok
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		u, ok := d.unsigned(n, 64)
		return protoreflect.ValueOfUint64(u), ok
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		i, ok := d.signed(n, 32)
		return protoreflect.ValueOfInt32(int32(i)), ok
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		i, ok := d.signed(n, 64)
		return protoreflect.ValueOfInt64(i), ok
	default:
		d.fail(n, "fields of kind %s cannot be written in YAML", fd.Kind())
		return v, false
	}
}

// boolean accepts what Envoy's readers accept beside true and false: YAML 1.1's words when they are not quoted, and the two
// words of JSON when they are.
func (d *decoder) boolean(n *yaml.Node) (protoreflect.Value, bool) {
	word := strings.ToLower(n.Value)
	quoted := n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0
	switch tag := n.ShortTag(); {
	case tag == "!!bool", tag == "!!str" && (n.Value == "true" || n.Value == "false"):
		return protoreflect.ValueOfBool(word == "true"), true
	case tag == "!!str" && !quoted:
		switch word {
		case "yes", "on", "y":
			return protoreflect.ValueOfBool(true), true
		case "no", "off", "n":
			return protoreflect.ValueOfBool(false), true
		}
	}
	e := d.fail(n, "want true or false, found %s", describe(n))
	switch word {
	case "true", "yes", "on", "y", "1":
		e.Suggestion = "write true"
	case "false", "no", "off", "n", "0":
		e.Suggestion = "write false"
	}
	return protoreflect.Value{}, false
}

// text accepts strings, and what only YAML 1.2 takes for something else: dates, and numbers that are not whole. Envoy's reader
// knows none of the three either, so versions ("1.5") need no quotes there.
func (d *decoder) text(n *yaml.Node) (protoreflect.Value, bool) {
	switch tag := n.ShortTag(); {
	case tag == "!!str", tag == "!!timestamp":
	case tag == "!!float" && n.Style&yaml.TaggedStyle == 0:
	default:
		e := d.fail(n, "want a string, found %s", describe(n))
		e.Suggestion = "quote it: " + strconv.Quote(n.Value)
		return protoreflect.Value{}, false
	}
	if !utf8.ValidString(n.Value) {
		d.fail(n, "the string is not valid UTF-8")
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfString(n.Value), true
}

// bytes accepts standard and URL-safe base64, padded or not, as the JSON mapping asks.
func (d *decoder) bytes(n *yaml.Node) (protoreflect.Value, bool) {
	switch n.ShortTag() {
	case "!!str", "!!binary", "!!int", "!!timestamp": // base64 of digits only looks like a number
	default:
		d.fail(n, "want bytes as base64, found %s", describe(n))
		return protoreflect.Value{}, false
	}
	s := n.Value
	if n.ShortTag() == "!!binary" {
		s = strings.Map(func(r rune) rune {
			if r == ' ' || r == '\n' || r == '\t' {
				return -1
			}
			return r
		}, s)
	}
	enc := base64.StdEncoding
	if strings.ContainsAny(s, "-_") {
		enc = base64.URLEncoding
	}
	if !strings.HasSuffix(s, "=") {
		enc = enc.WithPadding(base64.NoPadding)
	}
	b, err := enc.DecodeString(s)
	if err != nil {
		e := d.fail(n, "want bytes as base64: %v", err)
		e.Suggestion = "text goes into a string field (such as inline_string), bytes are base64"
		return protoreflect.Value{}, false
	}
	return protoreflect.ValueOfBytes(b), true
}

func (d *decoder) enum(n *yaml.Node, fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	ed := fd.Enum()
	if ed.FullName() == "google.protobuf.NullValue" {
		if isNull(n) || n.Value == "NULL_VALUE" {
			return protoreflect.ValueOfEnum(0), true
		}
		d.fail(n, "want null, found %s", describe(n))
		return protoreflect.Value{}, false
	}
	if v := ed.Values().ByName(protoreflect.Name(n.Value)); v != nil {
		return protoreflect.ValueOfEnum(v.Number()), true // a name such as "on" or "null" stays a name
	}
	tag := n.ShortTag()
	if tag == "!!int" || tag == "!!float" || tag == "!!str" && isDigits(n.Value) {
		i, ok := d.signed(n, 32)
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(i)), ok
	}
	// Envoy's reader does not mind the case.
	upper := strings.ReplaceAll(strings.ToUpper(n.Value), "-", "_")
	if v := ed.Values().ByName(protoreflect.Name(upper)); v != nil {
		return protoreflect.ValueOfEnum(v.Number()), true
	}
	names := enumNames(ed)
	e := d.fail(n, "%s is no value of %s", quote(n.Value), ed.FullName())
	if s := Nearest(n.Value, names); s != "" {
		e.Suggestion = "did you mean " + s + "?"
	}
	e.Valid = names
	return protoreflect.Value{}, false
}

// mapKey reads the key of a map field. Keys are written as text whatever their type.
func (d *decoder) mapKey(n *yaml.Node, fd protoreflect.FieldDescriptor) (protoreflect.MapKey, bool) {
	if fd.Kind() == protoreflect.StringKind {
		if !utf8.ValidString(n.Value) {
			d.fail(n, "the key is not valid UTF-8")
			return protoreflect.MapKey{}, false
		}
		return protoreflect.ValueOfString(n.Value).MapKey(), true
	}
	plain := *n
	plain.Tag = "" // resolve "1" and 1 alike
	plain.Style = 0
	v, ok := d.scalar(&plain, fd)
	if !ok {
		return protoreflect.MapKey{}, false
	}
	return v.MapKey(), true
}

// wants says what a scalar field takes.
func wants(fd protoreflect.FieldDescriptor) string {
	switch fd.Kind() {
	case protoreflect.BoolKind:
		return "true or false"
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.BytesKind:
		return "bytes as base64"
	case protoreflect.EnumKind:
		return "a name of " + string(fd.Enum().FullName())
	case protoreflect.FloatKind, protoreflect.DoubleKind:
		return "a number"
	default:
		return "a whole number"
	}
}

// describe says what a node is, in words, with the text of a short scalar.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "nothing (null)"
	case "!!bool":
		return "the boolean " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!str", "!!timestamp", "!!binary":
		return "the string " + quote(n.Value)
	}
	return "a value tagged " + n.Tag
}

// quote quotes and shortens a piece of input.
func quote(s string) string {
	const limit = 60
	if rs := []rune(s); len(rs) > limit {
		s = string(rs[:limit]) + "…"
	}
	return strconv.Quote(s)
}

func isNull(n *yaml.Node) bool {
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		n = n.Alias
	}
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

// acceptsNull tells the fields for which null is a value.
func acceptsNull(fd protoreflect.FieldDescriptor) bool {
	if fd.IsList() || fd.IsMap() {
		// The question is asked for the whole list first: null leaves it unset; items are asked for again by element.
		return false
	}
	return nullable(fd)
}

func nullable(fd protoreflect.FieldDescriptor) bool {
	if md := fd.Message(); md != nil {
		return md.FullName() == "google.protobuf.Value"
	}
	ed := fd.Enum()
	return ed != nil && ed.FullName() == "google.protobuf.NullValue"
}
