package yamlproto

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// ErrUnknownType is in the error of [Unpack] and [FromTypedStruct] when the resolver does not know the type URL.
var ErrUnknownType = errors.New("unknown type URL")

// Unpack unmarshals an Any through the resolver (nil: protoregistry.GlobalTypes).
func Unpack(a *anypb.Any, r Resolver) (proto.Message, error) {
	return unpack(a, Options{Resolver: r}.resolver())
}

func unpack(a *anypb.Any, r Resolver) (proto.Message, error) {
	mt, err := r.FindMessageByURL(a.GetTypeUrl())
	if err != nil || mt == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, a.GetTypeUrl())
	}
	m := mt.New().Interface()
	if err := proto.Unmarshal(a.GetValue(), m); err != nil {
		return nil, fmt.Errorf("unmarshal %s: %w", mt.Descriptor().FullName(), err)
	}
	return m, nil
}

// IsTypedStruct tells the two messages that carry a typed configuration as a Struct (xds.type.v3.TypedStruct and its older
// name udpa.type.v1.TypedStruct).
func IsTypedStruct(m proto.Message) bool {
	switch m.ProtoReflect().Descriptor().FullName() {
	case "xds.type.v3.TypedStruct", "udpa.type.v1.TypedStruct":
		return true
	}
	return false
}

// TypedStructParts returns the type URL and the members of a TypedStruct.
func TypedStructParts(m proto.Message) (url string, value *structpb.Struct) {
	type typedStruct interface {
		GetTypeUrl() string
		GetValue() *structpb.Struct
	}
	if ts, ok := m.(typedStruct); ok {
		return ts.GetTypeUrl(), ts.GetValue()
	}
	return "", nil
}

// FromTypedStruct turns a TypedStruct into the message it stands for, by the JSON mapping. The error wraps [ErrUnknownType]
// when the type is not known; otherwise it is [Errors] with paths relative to the message and without positions.
func FromTypedStruct(m proto.Message, r Resolver) (proto.Message, error) {
	url, value := TypedStructParts(m)
	o := Options{Resolver: r}
	mt, err := o.resolver().FindMessageByURL(url)
	if err != nil || mt == nil {
		return nil, fmt.Errorf("%w %q", ErrUnknownType, url)
	}
	inner := mt.New()
	return inner.Interface(), FromStruct(value, inner.Interface(), r)
}

// FromStruct reads the members of a Struct into m by the JSON mapping. The error is [Errors], without positions.
func FromStruct(s *structpb.Struct, m proto.Message, r Resolver) error {
	d := newDecoder(nil, Options{Resolver: r})
	d.src = newSource("", nil)
	d.message(structNode(s), m.ProtoReflect())
	return d.err()
}

func structNode(s *structpb.Struct) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, k := range slices.Sorted(maps.Keys(s.GetFields())) {
		n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: k}, valueNode(s.GetFields()[k]))
	}
	return n
}

func valueNode(v *structpb.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode}
	switch k := v.GetKind().(type) {
	case *structpb.Value_NumberValue:
		n.Tag, n.Style, n.Value = "!!float", yaml.TaggedStyle, strconv.FormatFloat(k.NumberValue, 'f', -1, 64)
	case *structpb.Value_StringValue:
		n.Tag, n.Value = "!!str", k.StringValue
	case *structpb.Value_BoolValue:
		n.Tag, n.Value = "!!bool", strconv.FormatBool(k.BoolValue)
	case *structpb.Value_StructValue:
		return structNode(k.StructValue)
	case *structpb.Value_ListValue:
		n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
		for _, item := range k.ListValue.GetValues() {
			n.Content = append(n.Content, valueNode(item))
		}
	default:
		n.Tag, n.Value = "!!null", "null"
	}
	return n
}

// Walk calls visit for the message m and for every message that is packed inside it, at any depth: behind Any and behind
// TypedStruct. Each is called with its path below m. A part that cannot be unpacked is reported to broken instead; unknown
// types come as [ErrUnknownType].
func Walk(m proto.Message, r Resolver, visit func(path string, m proto.Message), broken func(path string, err error)) {
	w := &walker{resolver: Options{Resolver: r}.resolver(), visit: visit, broken: broken}
	w.packed(m.ProtoReflect())
}

// maxPacked bounds how deep Any may stand in Any. Every level holds a copy of what is inside, so this bounds memory; real
// configurations stay below ten.
const maxPacked = 64

type walker struct {
	resolver Resolver
	path     Path
	visit    func(string, proto.Message)
	broken   func(string, error)
	depth    int
}

// packed visits a message that stands on its own and looks for more inside.
func (w *walker) packed(m protoreflect.Message) {
	if w.depth++; w.depth > maxPacked {
		w.depth--
		w.broken(w.path.String(), fmt.Errorf("messages packed more than %d levels deep", maxPacked))
		return
	}
	defer func() { w.depth-- }()
	if a, ok := m.Interface().(*anypb.Any); ok {
		if a.GetTypeUrl() == "" && len(a.GetValue()) == 0 {
			return
		}
		inner, err := unpack(a, w.resolver)
		if err != nil {
			w.broken(w.path.String(), err)
			return
		}
		w.packed(inner.ProtoReflect())
		return
	}
	if IsTypedStruct(m.Interface()) {
		w.typedStruct(m.Interface())
		return
	}
	w.visit(w.path.String(), m.Interface())
	w.inside(m)
}

func (w *walker) typedStruct(m proto.Message) {
	inner, err := FromTypedStruct(m, w.resolver)
	var es Errors
	if err != nil && !errors.As(err, &es) {
		w.broken(w.path.String(), err)
		return
	}
	defer w.path.Back(w.path.Field("value"))
	for _, e := range es {
		w.broken(Join(w.path.String(), e.Path), e)
	}
	if es == nil {
		w.packed(inner.ProtoReflect())
	}
}

// inside looks for packed messages below the fields of m.
func (w *walker) inside(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Message() == nil {
			return true
		}
		defer w.path.Back(w.path.Field(string(fd.Name())))
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() == nil {
				return true
			}
			v.Map().Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
				mark := w.path.Key(k.String())
				w.below(v.Message())
				w.path.Back(mark)
				return true
			})
		case fd.IsList():
			for i := range v.List().Len() {
				mark := w.path.Index(i)
				w.below(v.List().Get(i).Message())
				w.path.Back(mark)
			}
		default:
			w.below(v.Message())
		}
		return true
	})
}

func (w *walker) below(m protoreflect.Message) {
	switch m.Interface().(type) {
	case *anypb.Any:
		w.packed(m)
	case *structpb.Struct:
	default:
		if IsTypedStruct(m.Interface()) {
			w.packed(m)
			return
		}
		w.inside(m)
	}
}
