package lastgood

import (
	udpa "github.com/cncf/xds/go/udpa/annotations"
	udpatype "github.com/cncf/xds/go/udpa/type/v1"
	xdstype "github.com/cncf/xds/go/xds/type/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config"
)

// Sensitive tells whether a resource holds a secret: any secret's own message, and fields that the
// API marks as sensitive (udpa.annotations.sensitive: private keys, passwords, tokens), at any depth, inside Any and TypedStruct
// too. What cannot be read may hold anything.
func Sensitive(a *anypb.Any) bool {
	if a.GetTypeUrl() == config.SecretURL {
		return true
	}
	return sensitiveAny(a)
}

func sensitiveAny(a *anypb.Any) bool {
	if a.GetTypeUrl() == "" && len(a.GetValue()) == 0 {
		return false
	}
	m, err := a.UnmarshalNew()
	return err != nil || sensitive(m.ProtoReflect())
}

func sensitive(m protoreflect.Message) (found bool) {
	switch t := m.Interface().(type) {
	case *anypb.Any:
		return sensitiveAny(t)
	case *udpatype.TypedStruct:
		return sensitiveStruct(t.GetValue(), descriptor(t.GetTypeUrl()))
	case *xdstype.TypedStruct:
		return sensitiveStruct(t.GetValue(), descriptor(t.GetTypeUrl()))
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case marked(fd):
			found = !namesFile(fd, v)
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				found = found || sensitive(v.List().Get(i).Message())
			}
		case fd.IsMap() && fd.MapValue().Message() != nil:
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				found = sensitive(v.Message())
				return !found
			})
		case !fd.IsList() && !fd.IsMap() && fd.Message() != nil:
			found = sensitive(v.Message())
		}
		return !found
	})
	return found
}

// namesFile tells whether a marked field is a DataSource that only says where the secret is.
func namesFile(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
	if fd.IsList() || fd.IsMap() || fd.Message() == nil {
		return false
	}
	d := v.Message()
	one := d.Descriptor().Oneofs().ByName("specifier")
	if one == nil {
		return false
	}
	set := d.WhichOneof(one)
	return set != nil && (set.Name() == "filename" || set.Name() == "environment_variable")
}

func marked(fd protoreflect.FieldDescriptor) bool {
	o := fd.Options()
	if !proto.HasExtension(o, udpa.E_Sensitive) {
		return false
	}
	yes, _ := proto.GetExtension(o, udpa.E_Sensitive).(bool)
	return yes
}

func descriptor(url string) protoreflect.MessageDescriptor {
	t, err := protoregistry.GlobalTypes.FindMessageByURL(url)
	if err != nil {
		return nil
	}
	return t.Descriptor()
}

// sensitiveStruct looks at a message that is written as a Struct; md is nil when its type is not known.
func sensitiveStruct(st *structpb.Struct, md protoreflect.MessageDescriptor) bool {
	for name, v := range st.GetFields() {
		var fd protoreflect.FieldDescriptor
		if md != nil {
			if fd = md.Fields().ByTextName(name); fd == nil {
				fd = md.Fields().ByJSONName(name)
			}
		}
		if fd != nil && marked(fd) || sensitiveValue(v, fd) {
			return true
		}
	}
	return false
}

func sensitiveValue(v *structpb.Value, fd protoreflect.FieldDescriptor) bool {
	switch k := v.GetKind().(type) {
	case *structpb.Value_StructValue:
		var md protoreflect.MessageDescriptor
		if fd != nil && !fd.IsMap() {
			md = fd.Message()
		}
		if t := k.StructValue.GetFields()["@type"]; t != nil {
			md = descriptor(t.GetStringValue())
		}
		return sensitiveStruct(k.StructValue, md)
	case *structpb.Value_ListValue:
		for _, e := range k.ListValue.GetValues() {
			if sensitiveValue(e, fd) {
				return true
			}
		}
	}
	return false
}
