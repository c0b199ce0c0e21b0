package yamlproto

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
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
