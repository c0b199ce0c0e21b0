package admin

import (
	"strconv"

	udpa "github.com/cncf/xds/go/udpa/annotations"
	udpatype "github.com/cncf/xds/go/udpa/type/v1"
	xdstype "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

// hidden stands where a secret was, as in Envoy.
const hidden = "[redacted]"

// redacted is a copy of a message without its secrets: fields that the API marks
// as sensitive (udpa.annotations.sensitive: private keys, passwords, tokens), at
// any depth, inside Any and TypedStruct too. Of a secret's own message nothing is
// left but which fields were set. An Any that cannot be read is replaced by its
// type and length, since it may hold anything.
func redacted[M proto.Message](m M) M {
	c, ok := proto.Clone(m).(M)
	if !ok { // Clone gives what it was given
		return m
	}
	scrub(c.ProtoReflect(), false)
	return c
}

// scrub hides secrets in place; sensitive says that all of m is one. It tells
// whether it changed anything.
func scrub(m protoreflect.Message, sensitive bool) (changed bool) {
	switch t := m.Interface().(type) {
	case *anypb.Any:
		return scrubAny(t, sensitive)
	case *udpatype.TypedStruct:
		return scrubStruct(t.GetValue(), descriptor(t.GetTypeUrl()), sensitive)
	case *xdstype.TypedStruct:
		return scrubStruct(t.GetValue(), descriptor(t.GetTypeUrl()), sensitive)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		s := sensitive || isSensitive(fd)
		switch {
		case fd.IsList():
			changed = scrubList(fd, v.List(), s) || changed
		case fd.IsMap():
			changed = scrubMap(fd, v.Map(), s) || changed
		case fd.Message() != nil:
			changed = scrub(v.Message(), s) || changed
		case s:
			changed = true
			if h, ok := hide(fd); ok {
				m.Set(fd, h)
			} else {
				m.Clear(fd)
			}
		}
		return true
	})
	return changed
}

func scrubList(fd protoreflect.FieldDescriptor, l protoreflect.List, s bool) (changed bool) {
	h, ok := hide(fd)
	switch {
	case fd.Message() != nil:
		for i := range l.Len() {
			changed = scrub(l.Get(i).Message(), s) || changed
		}
		return changed
	case !s:
		return false
	case !ok:
		l.Truncate(0)
		return true
	}
	for i := range l.Len() {
		l.Set(i, h)
	}
	return true
}

func scrubMap(fd protoreflect.FieldDescriptor, mp protoreflect.Map, s bool) (changed bool) {
	h, ok := hide(fd.MapValue())
	mp.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool {
		switch {
		case fd.MapValue().Message() != nil:
			changed = scrub(v.Message(), s) || changed
		case s && ok:
			mp.Set(k, h)
			changed = true
		case s:
			mp.Clear(k)
			changed = true
		}
		return true
	})
	return changed
}

// hide is what to write instead of a text.
func hide(fd protoreflect.FieldDescriptor) (protoreflect.Value, bool) {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(hidden), true
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte(hidden)), true
	}
	return protoreflect.Value{}, false
}

func isSensitive(fd protoreflect.FieldDescriptor) bool {
	o := fd.Options()
	if !proto.HasExtension(o, udpa.E_Sensitive) {
		return false
	}
	yes, _ := proto.GetExtension(o, udpa.E_Sensitive).(bool)
	return yes
}

func scrubAny(a *anypb.Any, sensitive bool) bool {
	if a.GetTypeUrl() == "" && len(a.GetValue()) == 0 {
		return false
	}
	m, err := a.UnmarshalNew()
	if err != nil {
		return replace(a, &structpb.Struct{Fields: map[string]*structpb.Value{
			"type_url": structpb.NewStringValue(a.GetTypeUrl()),
			"unread":   structpb.NewStringValue(strconv.Itoa(len(a.GetValue())) + " bytes"),
		}})
	}
	if !scrub(m.ProtoReflect(), sensitive) {
		return false
	}
	return replace(a, m)
}

// replace packs m into a; what cannot be packed is left out.
func replace(a *anypb.Any, m proto.Message) bool {
	if err := a.MarshalFrom(m); err != nil {
		a.Reset()
	}
	return true
}

func descriptor(typeURL string) protoreflect.MessageDescriptor {
	t, err := protoregistry.GlobalTypes.FindMessageByURL(typeURL)
	if err != nil {
		return nil
	}
	return t.Descriptor()
}

// scrubStruct hides secrets in a message that is written as a Struct. Of a type
// that is not known (nil) nothing is known to be secret.
func scrubStruct(st *structpb.Struct, md protoreflect.MessageDescriptor, sensitive bool) (changed bool) {
	for name, v := range st.GetFields() {
		var fd protoreflect.FieldDescriptor
		if md != nil {
			if fd = md.Fields().ByTextName(name); fd == nil {
				fd = md.Fields().ByJSONName(name)
			}
		}
		s := sensitive || fd != nil && isSensitive(fd)
		var in protoreflect.MessageDescriptor
		if fd != nil && !fd.IsMap() {
			in = fd.Message()
		}
		changed = scrubValue(v, in, s) || changed
	}
	return changed
}

func scrubValue(v *structpb.Value, md protoreflect.MessageDescriptor, sensitive bool) (changed bool) {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		if t := k.StructValue.GetFields()["@type"]; t != nil {
			md = descriptor(t.GetStringValue())
		}
		return scrubStruct(k.StructValue, md, sensitive)
	case *structpb.Value_ListValue:
		for _, e := range k.ListValue.GetValues() {
			changed = scrubValue(e, md, sensitive) || changed
		}
		return changed
	case nil:
		return false
	default:
		if sensitive {
			v.Kind = &structpb.Value_StringValue{StringValue: hidden}
		}
		return sensitive
	}
}
