package config

import (
	"bytes"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
)

// unwrap puts in place of every TypedStruct (xds.type.v3, udpa.type.v1) in m, however deep in other Anys, what it stands for, so
// that no decoder has to know of them. A type without a proto here becomes an Any of that type without a value, where the support
// table knows the type by name and nothing reads it; what cannot be converted stays, for the support table to refuse by its path.
// data are the bytes of m: most resources have no TypedStruct, and are not walked.
func unwrap(m proto.Message, data []byte) {
	if bytes.Contains(data, []byte("type.v1.TypedStruct")) || bytes.Contains(data, []byte("type.v3.TypedStruct")) {
		unwrapIn(m.ProtoReflect(), 0)
	}
}

// maxUnwrap bounds how deep messages may stand in each other; real configurations stay below fifty.
const maxUnwrap = 500

func unwrapIn(m protoreflect.Message, depth int) (changed bool) {
	if depth > maxUnwrap {
		return false
	}
	if a, ok := m.Interface().(*anypb.Any); ok {
		return unwrapAny(a, depth)
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					changed = unwrapIn(v.Message(), depth+1) || changed
					return true
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				changed = unwrapIn(v.List().Get(i).Message(), depth+1) || changed
			}
		default:
			changed = unwrapIn(v.Message(), depth+1) || changed
		}
		return true
	})
	return changed
}

// unwrapAny changes what an Any holds.
func unwrapAny(a *anypb.Any, depth int) bool {
	inner, err := yamlproto.Unpack(a, nil)
	if err != nil {
		return false
	}
	changed := yamlproto.IsTypedStruct(inner)
	if changed {
		url, _ := yamlproto.TypedStructParts(inner)
		if support.IsStruct(url) && support.MayLeaveOut(url) {
			a.TypeUrl, a.Value = url, nil
			return true
		}
		if inner, err = yamlproto.FromTypedStruct(inner, nil); err != nil {
			return false
		}
	}
	if !unwrapIn(inner.ProtoReflect(), depth+1) && !changed {
		return false
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(inner)
	if err != nil {
		return false
	}
	a.TypeUrl, a.Value = "type.googleapis.com/"+string(proto.MessageName(inner)), b
	return true
}
