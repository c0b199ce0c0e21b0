package support

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/turn"
	"github.com/weirproxy/weir/config/yamlproto"
)

// maxAny bounds how deep Any may stand in Any; real configurations stay below ten.
const maxAny = 64

type checker struct {
	table    *Table
	resource string
	mode     Mode
	path     yamlproto.Path
	anyDepth int
	found    []Finding
	turn     turn.Turn
}

// report records a finding, unless the mode does not ask for it.
func (c *checker) report(k kind, field string, r rule) {
	if r.class == Implemented || r.class == Harmless && c.mode != Strict && !r.told {
		return
	}
	c.found = append(c.found, Finding{
		ResourceName: c.resource, Path: c.path.String(), Field: field,
		Class: r.class, Reason: r.reason, Security: r.security, Alternative: r.alternative,
		mode: c.mode, kind: k,
	})
}

// value checks a message: what an Any or a TypedStruct holds, or the fields of any other. optional says that the configuration
// allows an implementation to leave out a type it does not have.
func (c *checker) value(m protoreflect.Message, optional bool) {
	switch msg := m.Interface().(type) {
	case *anypb.Any:
		if msg.GetTypeUrl() == "" && len(msg.GetValue()) == 0 {
			return
		}
		if c.anyDepth++; c.anyDepth > maxAny {
			c.report(aType, "google.protobuf.Any", rule{security: true, reason: "nested too deep"})
			return
		}
		defer func() { c.anyDepth-- }()
		inner, err := yamlproto.Unpack(msg, nil)
		if s := c.table.structs[typeName(msg.GetTypeUrl())]; s != nil && err != nil {
			c.report(aType, s.name, *s.whole)
			return
		}
		if err != nil {
			c.broken(typeName(msg.GetTypeUrl()), err, optional)
			return
		}
		c.value(inner.ProtoReflect(), optional)
	default:
		name := m.Descriptor().FullName()
		switch {
		case yamlproto.IsTypedStruct(msg):
			c.typedStruct(msg, optional)
		case strings.HasPrefix(string(name), "google.protobuf."):
		default:
			c.message(m, optional)
		}
	}
}

func typeName(url string) string { return url[strings.LastIndexByte(url, '/')+1:] }

// broken reports what cannot be unpacked. An unknown type may be anything, an authorisation filter too: it is rejected always.
func (c *checker) broken(name string, err error, optional bool) {
	r := rule{security: true, reason: err.Error()}
	if errors.Is(err, yamlproto.ErrUnknownType) {
		r.reason = "unknown type"
		if optional {
			r = rule{class: Harmless, told: true, reason: "unknown type, left out because is_optional is set"}
		}
	}
	c.report(aType, name, r)
}

func (c *checker) typedStruct(m proto.Message, optional bool) {
	url, _ := yamlproto.TypedStructParts(m)
	name := typeName(url)
	if s := c.table.structs[name]; s != nil {
		c.report(aType, name, *s.whole)
		return
	}
	if c.anyDepth++; c.anyDepth > maxAny {
		c.report(aType, name, rule{security: true, reason: "nested too deep"})
		return
	}
	defer func() { c.anyDepth-- }()
	inner, err := yamlproto.FromTypedStruct(m, nil)
	var es yamlproto.Errors
	if err != nil && !errors.As(err, &es) {
		c.broken(name, err, optional)
		return
	}
	defer c.path.Back(c.path.Field("value"))
	for _, e := range es {
		mark := c.path.Join(e.Path)
		c.broken(name, errors.New(e.Message), false)
		c.path.Back(mark)
	}
	if es == nil {
		c.value(inner.ProtoReflect(), optional)
	}
}

// message checks the fields of a message that has a section.
func (c *checker) message(m protoreflect.Message, optional bool) {
	md := m.Descriptor()
	sec := c.table.messages[md.FullName()]
	if sec == nil || sec.whole != nil {
		r := rule{security: true}
		if sec != nil {
			r = *sec.whole
		}
		if optional && r.class == Unsupported {
			r = rule{class: Harmless, told: true, reason: "left out because is_optional is set"}
		}
		c.report(aType, string(md.FullName()), r)
		return
	}
	c.unknown(m, sec)
	if lb, ok := m.Interface().(*clusterv3.LoadBalancingPolicy); ok {
		c.policies(lb)
		return
	}
	fs := md.Fields()
	for i := range fs.Len() {
		if fd := fs.Get(i); m.Has(fd) {
			c.field(m, fd, sec)
		}
	}
}

// MayLeaveOut tells the types that a configuration does without: what is of such a type is left out by the decoders. They are the
// harmless ones, and the unsupported ones that bear on no security; those are refused before, except in mode Degrade.
func MayLeaveOut(url string) bool {
	t, name := standard(), typeName(url)
	sec := t.messages[protoreflect.FullName(name)]
	if sec == nil {
		sec = t.structs[name]
	}
	return sec != nil && sec.whole != nil && sec.whole.class != Implemented && !sec.whole.security
}

// IsStruct tells the types that have no proto here and are classed by their name alone, in a TypedStruct or an Any.
func IsStruct(url string) bool { return standard().structs[typeName(url)] != nil }

// policies checks a list of which the first supported one is used (Envoy: LoadBalancingPolicy.policies); the others are never
// looked at. When none is supported, all are reported.
func (c *checker) policies(lb *clusterv3.LoadBalancingPolicy) {
	chosen := slices.IndexFunc(lb.GetPolicies(), func(p *clusterv3.LoadBalancingPolicy_Policy) bool {
		a := p.GetTypedExtensionConfig().GetTypedConfig()
		if m, err := yamlproto.Unpack(a, nil); err == nil && yamlproto.IsTypedStruct(m) {
			url, _ := yamlproto.TypedStructParts(m)
			a = &anypb.Any{TypeUrl: url}
		}
		sec := c.table.messages[protoreflect.FullName(typeName(a.GetTypeUrl()))]
		return sec != nil && (sec.whole == nil || sec.whole.class != Unsupported)
	})
	for i, p := range lb.GetPolicies() {
		mark := c.path.Field("policies")
		c.path.Index(i)
		switch {
		case chosen < 0 || i == chosen:
			c.value(p.ProtoReflect(), false)
		case i < chosen:
			c.report(aType, typeName(p.GetTypedExtensionConfig().GetTypedConfig().GetTypeUrl()),
				rule{class: Harmless, reason: "skipped, a later policy is supported"})
		}
		c.path.Back(mark)
	}
}

// unknown reports fields that are newer than this binary's protos.
func (c *checker) unknown(m protoreflect.Message, sec *message) {
	seen := make(map[protowire.Number]bool)
	for b := m.GetUnknown(); len(b) > 0; {
		num, _, n := protowire.ConsumeField(b)
		if n <= 0 {
			return
		}
		if !seen[num] {
			seen[num] = true
			c.report(aField, sec.name+".#"+strconv.Itoa(int(num)), rule{security: sec.guarded, reason: "newer than this binary"})
		}
		b = b[n:]
	}
}

func (c *checker) field(m protoreflect.Message, fd protoreflect.FieldDescriptor, sec *message) {
	name := string(fd.Name())
	r := sec.fields[name] // no line: Unsupported, and security-bearing where the message is
	if _, ok := sec.fields[name]; !ok {
		r.security = sec.guarded
	}
	defer c.path.Back(c.path.Field(name))
	values := sec.values[name]
	if values == nil && r.class != Implemented {
		c.report(aField, sec.name+"."+name, r)
		return
	}
	v := m.Get(fd)
	switch {
	case fd.IsMap():
		keys := make(map[string]protoreflect.Value, v.Map().Len())
		v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
			keys[k.String()] = v
			return true
		})
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			mark := c.path.Key(k)
			c.item(name, keys[k], fd.MapValue(), r, sec, false)
			c.path.Back(mark)
		}
	case fd.IsList():
		for i := range v.List().Len() {
			c.turn.Pass()
			mark := c.path.Index(i)
			c.item(name, v.List().Get(i), fd, r, sec, false)
			c.path.Back(mark)
		}
	default:
		c.item(name, v, fd, r, sec, fd.Message() != nil && isOptional(m))
	}
}

// item checks one value of a field, whose class may depend on it.
func (c *checker) item(name string, v protoreflect.Value, fd protoreflect.FieldDescriptor, r rule, sec *message, optional bool) {
	if values := sec.values[name]; values != nil {
		text := valueText(v, fd)
		if vr, ok := values[text]; ok {
			c.report(aValue, sec.name+"."+name+"="+text, vr)
			return
		}
	}
	if r.class != Implemented {
		c.report(aField, sec.name+"."+name, r)
		return
	}
	if fd.Message() != nil {
		c.value(v.Message(), optional)
	}
}

// isOptional tells extension points that say "leave it out if you do not know it" (HttpFilter, FilterConfig).
func isOptional(m protoreflect.Message) bool {
	fd := m.Descriptor().Fields().ByName("is_optional")
	return fd != nil && fd.Kind() == protoreflect.BoolKind && m.Get(fd).Bool()
}

// valueText prints a scalar, or the scalar in a wrapper, as the table spells it.
func valueText(v protoreflect.Value, fd protoreflect.FieldDescriptor) string {
	switch {
	case fd.Enum() != nil:
		if ev := fd.Enum().Values().ByNumber(v.Enum()); ev != nil {
			return string(ev.Name())
		}
		return strconv.Itoa(int(v.Enum()))
	case fd.Message() == nil:
		return v.String()
	case strings.HasPrefix(string(fd.Message().FullName()), "google.protobuf.") && strings.HasSuffix(string(fd.Message().Name()), "Value"):
		if inner := fd.Message().Fields().ByName("value"); inner != nil {
			return v.Message().Get(inner).String()
		}
	}
	return ""
}
