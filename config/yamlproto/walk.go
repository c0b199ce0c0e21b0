package yamlproto

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/turn"
)

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
	turn     turn.Turn
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
				w.turn.Pass()
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
