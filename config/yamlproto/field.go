package yamlproto

import (
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// field reads a value into one field of m.
func (d *decoder) field(n *yaml.Node, m protoreflect.Message, fd protoreflect.FieldDescriptor) entry {
	switch {
	case fd.IsMap():
		return d.mapField(n, m.Mutable(fd).Map(), fd)
	case fd.IsList():
		return d.list(n, m.Mutable(fd).List(), fd)
	case fd.Message() != nil:
		return d.message(n, m.Mutable(fd).Message())
	default:
		e, v, ok := d.scalarNode(n, fd)
		if ok {
			m.Set(fd, v)
		}
		return e
	}
}

func (d *decoder) list(n *yaml.Node, l protoreflect.List, fd protoreflect.FieldDescriptor) entry {
	n, done, ok := d.resolve(n)
	defer done()
	e := d.entryAt(n, kindList)
	if !ok {
		return e
	}
	items := n.Content
	if n.Kind != yaml.SequenceNode {
		items = []*yaml.Node{n} // one value stands for a list of it, as in Envoy (protobuf: allow_legacy_nonconformant_behavior)
	}
	e.kids = make([]entry, 0, len(items))
	for i, item := range items {
		d.enter(step{index: i})
		var kid entry
		switch {
		case isNull(item) && !nullable(fd):
			d.fail(item, "item %d of %s is null", i, quote(string(fd.Name())))
			kid = d.entryAt(item, kindScalar)
		case fd.Message() != nil:
			v := l.NewElement()
			kid = d.message(item, v.Message())
			l.Append(v)
		default:
			var v protoreflect.Value
			var ok bool
			if kid, v, ok = d.scalarNode(item, fd); ok {
				l.Append(v)
			}
		}
		d.leave()
		e.kids = append(e.kids, kid)
	}
	return e
}

func (d *decoder) mapField(n *yaml.Node, mp protoreflect.Map, fd protoreflect.FieldDescriptor) entry {
	n, done, ok := d.resolve(n)
	defer done()
	e := d.entryAt(n, kindMap)
	if !ok {
		return e
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, "field %s wants a mapping, found %s", quote(string(fd.Name())), describe(n))
		return e
	}
	vd := fd.MapValue()
	for key, value := range d.pairs(n, nil) {
		d.enter(step{name: key.Value, index: -1})
		kid := d.entryAt(value, kindScalar)
		if k, ok := d.mapKey(key, fd.MapKey()); ok {
			switch {
			case mp.Has(k):
				d.fail(key, "key %s is repeated in another spelling", quote(key.Value))
			case isNull(value) && !nullable(vd):
				d.fail(value, "the value of key %s is null", quote(key.Value))
			case vd.Message() != nil:
				v := mp.NewValue()
				kid = d.message(value, v.Message())
				mp.Set(k, v)
			default:
				var v protoreflect.Value
				var ok bool
				if kid, v, ok = d.scalarNode(value, vd); ok {
					mp.Set(k, v)
				}
			}
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
