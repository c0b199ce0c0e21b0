package yamlproto

import (
	"math"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wellKnown returns the reader of a type with a JSON form of its own, nil for all others.
func wellKnown(md protoreflect.MessageDescriptor) func(*decoder, *yaml.Node, protoreflect.Message) entry {
	name, ok := strings.CutPrefix(string(md.FullName()), "google.protobuf.")
	if !ok {
		return nil
	}
	switch name {
	case "Any":
		return (*decoder).any
	case "Duration":
		return (*decoder).duration
	case "Timestamp":
		return (*decoder).timestamp
	case "FieldMask":
		return (*decoder).fieldMask
	case "Struct":
		return (*decoder).structure
	case "Value":
		return (*decoder).value
	case "ListValue":
		return (*decoder).listValue
	case "BoolValue", "StringValue", "BytesValue", "FloatValue", "DoubleValue",
		"Int32Value", "Int64Value", "UInt32Value", "UInt64Value":
		return (*decoder).wrapper
	}
	return nil
}

func isWellKnown(md protoreflect.MessageDescriptor) bool { return wellKnown(md) != nil }

// any reads a mapping with "@type" and packs the message deterministically, so that equal text gives equal bytes.
func (d *decoder) any(n *yaml.Node, m protoreflect.Message) entry {
	e := d.entryAt(n, kindAny)
	if n.Kind != yaml.MappingNode {
		d.fail(n, `want a mapping with "@type", found %s`, describe(n))
		return e
	}
	if len(n.Content) == 0 {
		return e // an empty Any, as in protojson
	}
	var url *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "@type" && n.Content[i].Kind == yaml.ScalarNode {
			url = n.Content[i+1]
			break
		}
	}
	if url == nil {
		err := d.fail(n, `no "@type" says which message this is`)
		err.Suggestion = `add a line such as "@type": type.googleapis.com/envoy.…`
		return e
	}
	if url.Kind == yaml.AliasNode && url.Alias != nil {
		url = url.Alias
	}
	if url.Kind != yaml.ScalarNode || url.ShortTag() != "!!str" {
		d.fail(url, `"@type" wants a type URL, found %s`, describe(url))
		return e
	}
	mt, err := d.resolver.FindMessageByURL(url.Value)
	if err != nil || mt == nil {
		e := d.fail(url, "unknown type URL %s", strconv.Quote(url.Value))
		e.Suggestion = suggestType(url.Value, d.resolver)
		return entry{kind: kindAny, src: d.src, pos: pos{int32(n.Line), int32(n.Column)}}
	}
	inner := mt.New()
	if wellKnown(mt.Descriptor()) != nil {
		e.kids = d.anyValue(n, inner)
	} else {
		e.kids = d.fields(n, inner, "@type")
	}
	b, err := proto.MarshalOptions{Deterministic: true, AllowPartial: true}.Marshal(inner.Interface())
	if err != nil {
		d.fail(n, "%s cannot be packed: %v", mt.Descriptor().FullName(), err)
		return e
	}
	fs := m.Descriptor().Fields()
	m.Set(fs.ByNumber(1), protoreflect.ValueOfString(url.Value))
	m.Set(fs.ByNumber(2), protoreflect.ValueOfBytes(b))
	return e
}

// anyValue reads the "value" member that stands for a well-known type inside an Any.
func (d *decoder) anyValue(n *yaml.Node, inner protoreflect.Message) (kids []entry) {
	for key, value := range d.pairs(n, nil) {
		switch key.Value {
		case "@type":
		case "value":
			d.enter(step{name: "value", index: -1})
			kid := d.message(value, inner)
			d.leave()
			kid.name = "value"
			kids = append(kids, kid)
		default:
			e := d.fail(key, "unknown field %s beside a %s", quote(key.Value), inner.Descriptor().FullName())
			e.Suggestion = `write it as "value"`
			e.Valid = []string{"@type", "value"}
		}
	}
	return kids
}

// plain reads a type that has a JSON form of its own in the form of its fields: {seconds: 1}, {value: 5}. Envoy takes both.
func (d *decoder) plain(n *yaml.Node, m protoreflect.Message) entry {
	e := d.entryAt(n, kindMessage)
	e.kids = d.fields(n, m, "")
	return e
}

func (d *decoder) wrapper(n *yaml.Node, m protoreflect.Message) entry {
	if n.Kind == yaml.MappingNode {
		return d.plain(n, m)
	}
	fd := m.Descriptor().Fields().ByNumber(1)
	e := d.entryAt(n, kindScalar)
	if v, ok := d.scalar(n, fd); ok {
		m.Set(fd, v)
	}
	return e
}

func (d *decoder) duration(n *yaml.Node, m protoreflect.Message) entry {
	if n.Kind == yaml.MappingNode {
		return d.plain(n, m)
	}
	var v durationpb.Duration
	if !d.viaJSON(n, &v, `a duration such as "1.5s"`) {
		if last := d.errs[len(d.errs)-1]; n.Kind == yaml.ScalarNode {
			if s, ok := durationFor(n); ok {
				last.Suggestion = "did you mean " + s + "?"
			}
		}
	}
	setPair(m, v.GetSeconds(), v.GetNanos())
	return d.entryAt(n, kindScalar)
}

// durationFor guesses: a bare number was seconds, units other than "s" are Go's or a person's.
func durationFor(n *yaml.Node) (string, bool) {
	s := n.Value
	if isDigits(s) || n.ShortTag() == "!!float" {
		s += "s"
	}
	t, err := time.ParseDuration(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		return "", false
	}
	return strconv.FormatFloat(t.Seconds(), 'f', -1, 64) + "s", true
}

func (d *decoder) timestamp(n *yaml.Node, m protoreflect.Message) entry {
	var v timestamppb.Timestamp
	d.viaJSON(n, &v, `a time such as "2026-01-02T15:04:05Z"`)
	setPair(m, v.GetSeconds(), v.GetNanos())
	return d.entryAt(n, kindScalar)
}

// setPair sets the seconds and nanos of a Duration or Timestamp.
func setPair(m protoreflect.Message, seconds int64, nanos int32) {
	fs := m.Descriptor().Fields()
	m.Set(fs.ByNumber(1), protoreflect.ValueOfInt64(seconds))
	m.Set(fs.ByNumber(2), protoreflect.ValueOfInt32(nanos))
}

func (d *decoder) fieldMask(n *yaml.Node, m protoreflect.Message) entry {
	var v fieldmaskpb.FieldMask
	d.viaJSON(n, &v, `field paths separated by commas, such as "name,loadAssignment.endpoints"`)
	l := m.Mutable(m.Descriptor().Fields().ByNumber(1)).List()
	for _, p := range v.GetPaths() {
		l.Append(protoreflect.ValueOfString(p))
	}
	return d.entryAt(n, kindScalar)
}

// viaJSON lets protojson read the one string that the type is written as.
func (d *decoder) viaJSON(n *yaml.Node, m proto.Message, want string) bool {
	if n.Kind == yaml.ScalarNode && (n.ShortTag() == "!!str" || n.ShortTag() == "!!timestamp") {
		if b, err := protojson.Marshal(wrapperspb.String(n.Value)); err == nil && protojson.Unmarshal(b, m) == nil {
			return true
		}
	}
	d.fail(n, "want %s, found %s", want, describe(n))
	return false
}

func (d *decoder) structure(n *yaml.Node, m protoreflect.Message) entry {
	e := d.entryAt(n, kindMap)
	if n.Kind != yaml.MappingNode {
		d.fail(n, "want a mapping, found %s", describe(n))
		return e
	}
	mp := m.Mutable(m.Descriptor().Fields().ByNumber(1)).Map()
	for key, value := range d.pairs(n, nil) {
		d.enter(step{name: key.Value, index: -1})
		v := mp.NewValue()
		kid := d.message(value, v.Message())
		if k, ok := d.mapKey(key, stringKey(m)); ok {
			mp.Set(k, v)
		}
		d.leave()
		kid.name = key.Value
		if value.Kind != yaml.ScalarNode {
			kid.pos = pos{int32(key.Line), int32(key.Column)}
		}
		e.kids = append(e.kids, kid)
	}
	return e
}

// stringKey is the key descriptor of Struct.fields.
func stringKey(m protoreflect.Message) protoreflect.FieldDescriptor {
	return m.Descriptor().Fields().ByNumber(1).MapKey()
}

func (d *decoder) listValue(n *yaml.Node, m protoreflect.Message) entry {
	if n.Kind != yaml.SequenceNode {
		d.fail(n, "want a list, found %s", describe(n))
		return d.entryAt(n, kindList)
	}
	fd := m.Descriptor().Fields().ByNumber(1)
	return d.list(n, m.Mutable(fd).List(), fd)
}

// value reads any value into google.protobuf.Value: null 1, number 2, string 3, bool 4, struct 5, list 6.
func (d *decoder) value(n *yaml.Node, m protoreflect.Message) entry {
	fs := m.Descriptor().Fields()
	switch n.Kind {
	case yaml.MappingNode:
		return d.structure(n, m.Mutable(fs.ByNumber(5)).Message())
	case yaml.SequenceNode:
		return d.listValue(n, m.Mutable(fs.ByNumber(6)).Message())
	}
	e := d.entryAt(n, kindScalar)
	switch n.ShortTag() {
	case "!!null":
		m.Set(fs.ByNumber(1), protoreflect.ValueOfEnum(0))
	case "!!bool":
		m.Set(fs.ByNumber(4), protoreflect.ValueOfBool(strings.EqualFold(n.Value, "true")))
	case "!!int", "!!float":
		v, ok := d.float(n, 64)
		if f := v; ok && (math.IsNaN(f.Float()) || math.IsInf(f.Float(), 0)) {
			d.fail(n, "%s has no place in JSON", n.Value)
		} else if ok {
			m.Set(fs.ByNumber(2), v)
		}
	default:
		if v, ok := d.text(n); ok {
			m.Set(fs.ByNumber(3), v)
		}
	}
	return e
}
