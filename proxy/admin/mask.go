package admin

import (
	"fmt"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// A mask says which fields of a message to keep; one without fields keeps all.
// (Envoy: config_dump?mask=, a google.protobuf.FieldMask that goes into Any.)
type mask map[string]mask

func parseMask(s string) mask {
	m := mask{}
	for path := range strings.SplitSeq(s, ",") {
		at := m
		for name := range strings.SplitSeq(strings.TrimSpace(path), ".") {
			if at[name] == nil {
				at[name] = mask{}
			}
			at = at[name]
		}
	}
	return m
}

// of is the mask without what is meant for other messages than m; the whole
// mask when nothing is meant for m, so that applying it says so.
func (k mask) of(m protoreflect.Message) mask {
	out := mask{}
	for name, sub := range k {
		if m.Descriptor().Fields().ByTextName(name) != nil {
			out[name] = sub
		}
	}
	if len(out) == 0 {
		return k
	}
	return out
}

// apply clears what the mask does not name, and says which of its fields the
// message does not have.
func (k mask) apply(m protoreflect.Message) error {
	if len(k) == 0 {
		return nil
	}
	if a, ok := m.Interface().(*anypb.Any); ok {
		in, err := a.UnmarshalNew()
		if err != nil {
			return err
		}
		if err := k.apply(in.ProtoReflect()); err != nil {
			return err
		}
		return a.MarshalFrom(in)
	}
	for name := range k {
		if fd := m.Descriptor().Fields().ByTextName(name); fd == nil {
			return fmt.Errorf("%s has no field %q", m.Descriptor().Name(), name)
		}
	}
	var err error
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		sub, kept := k[fd.TextName()]
		switch {
		case !kept:
			m.Clear(fd)
		case len(sub) == 0:
		case fd.IsMap() || fd.Message() == nil:
			err = fmt.Errorf("%s.%s has no fields", m.Descriptor().Name(), fd.Name())
		case fd.IsList():
			for i := 0; i < v.List().Len() && err == nil; i++ {
				err = sub.apply(v.List().Get(i).Message())
			}
		default:
			err = sub.apply(v.Message())
		}
		return err == nil
	})
	return err
}
