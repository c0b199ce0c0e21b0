package yamlproto

import (
	"encoding/base64"
	"fmt"
	"math"
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

// secretScalar reads a scalar that must be shown nowhere, neither in an excerpt nor in a message. File names and names of
// environment variables are read so too: they stand where the secret itself could.
func (d *decoder) secretScalar(e entry, n *yaml.Node, fd protoreflect.FieldDescriptor) (entry, protoreflect.Value, bool) {
	d.src.hide(n)
	before := len(d.errs)
	v, ok := d.scalar(n, fd)
	for _, err := range d.errs[before:] {
		err.Message, err.Suggestion = "want "+wants(fd)+", the value is secret and not shown", ""
	}
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

// number returns the text of a number: a YAML number, or a string that holds one (the JSON mapping allows both).
func (d *decoder) number(n *yaml.Node, fd string) (string, bool) {
	switch n.ShortTag() {
	case "!!int", "!!float":
		return strings.ReplaceAll(n.Value, "_", ""), true
	case "!!str":
		if n.Value != "" && n.Value == strings.TrimSpace(n.Value) {
			return n.Value, true
		}
	}
	d.fail(n, "want %s, found %s", fd, describe(n))
	return "", false
}

func (d *decoder) signed(n *yaml.Node, bits int) (int64, bool) {
	what := "a whole number"
	s, ok := d.number(n, what)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), base(n), bits)
	if err == nil {
		return i, true
	}
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil && f == math.Trunc(f) {
		if lo, hi := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1); f >= lo && f < hi {
			return int64(f), true // 1e3 and 5.0 are whole numbers in the JSON mapping
		}
	}
	d.rangeError(n, s, what, fmt.Sprintf("%d", int64(math.MinInt64)>>(64-bits)), fmt.Sprintf("%d", int64(math.MaxInt64)>>(64-bits)))
	return 0, false
}

func (d *decoder) unsigned(n *yaml.Node, bits int) (uint64, bool) {
	what := "a whole number of 0 or more"
	s, ok := d.number(n, what)
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), base(n), bits)
	if err == nil {
		return u, true
	}
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil && f == math.Trunc(f) && f >= 0 && f < math.Ldexp(1, bits) {
		return uint64(f), true
	}
	d.rangeError(n, s, what, "0", fmt.Sprintf("%d", uint64(math.MaxUint64)>>(64-bits)))
	return 0, false
}

// base lets YAML numbers carry 0x, 0o, 0b and the old octal 0; numbers in strings are decimal.
func base(n *yaml.Node) int {
	if n.ShortTag() == "!!int" {
		return 0
	}
	return 10
}

func (d *decoder) rangeError(n *yaml.Node, s, what, lo, hi string) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f == math.Trunc(f) || isDigits(s) {
		d.fail(n, "%s is out of range, want %s to %s", n.Value, lo, hi)
		return
	}
	e := d.fail(n, "want %s, found %s", what, describe(n))
	if strings.ContainsAny(s, "KMGkmg") && s[0] >= '0' && s[0] <= '9' {
		e.Suggestion = "sizes are plain numbers of bytes, without a unit"
	}
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(strings.TrimLeft(s, "+-"), "0123456789") == ""
}

func (d *decoder) float(n *yaml.Node, bits int) (v protoreflect.Value, ok bool) {
	var f float64
	switch strings.ToLower(n.Value) {
	case ".nan", "nan":
		f = math.NaN()
	case ".inf", "+.inf", "infinity":
		f = math.Inf(1)
	case "-.inf", "-infinity":
		f = math.Inf(-1)
	default:
		s, ok := d.number(n, "a number")
		if !ok {
			return v, false
		}
		var err error
		if i, ierr := strconv.ParseInt(s, 0, 64); ierr == nil && n.ShortTag() == "!!int" {
			f = float64(i) // 0x10
		} else if f, err = strconv.ParseFloat(s, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			d.fail(n, "want a number, found %s", describe(n))
			return v, false
		}
	}
	if bits == 32 {
		if math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
			d.fail(n, "%s is out of range for a 32-bit number", n.Value)
			return v, false
		}
		return protoreflect.ValueOfFloat32(float32(f)), true
	}
	return protoreflect.ValueOfFloat64(f), true
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
