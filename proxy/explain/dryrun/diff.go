package dryrun

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// maxFields bounds the paths that are listed of one resource.
const maxFields = 50

// Differences are the paths of the fields in which two resources differ, as in error messages: "endpoints[0].lb_endpoints[1]". An
// element that only one of them has is named itself.
func Differences(a, b *anypb.Any) []string {
	d := &diff{}
	d.any("", a, b)
	return d.paths
}

type diff struct{ paths []string }

func (d *diff) add(path string) {
	if len(d.paths) < maxFields {
		d.paths = append(d.paths, path)
	}
}

func (d *diff) any(at string, a, b *anypb.Any) {
	x, errA := a.UnmarshalNew()
	y, errB := b.UnmarshalNew()
	if errA != nil || errB != nil || x.ProtoReflect().Descriptor() != y.ProtoReflect().Descriptor() {
		if !proto.Equal(a, b) {
			d.add(at)
		}
		return
	}
	d.message(at, x.ProtoReflect(), y.ProtoReflect())
}

func (d *diff) message(at string, a, b protoreflect.Message) {
	if x, ok := a.Interface().(*anypb.Any); ok {
		if y, ok := b.Interface().(*anypb.Any); ok {
			d.any(at, x, y)
			return
		}
	}
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		d.field(join(at, string(fd.Name())), fd, a, b)
	}
}

func (d *diff) field(at string, fd protoreflect.FieldDescriptor, a, b protoreflect.Message) {
	x, y := a.Get(fd), b.Get(fd)
	switch {
	case fd.IsList():
		d.list(at, fd, x.List(), y.List())
	case fd.IsMap():
		d.mapping(at, fd, x.Map(), y.Map())
	case a.Has(fd) != b.Has(fd):
		d.add(at)
	case fd.Message() == nil:
		if !x.Equal(y) {
			d.add(at)
		}
	case a.Has(fd):
		d.message(at, x.Message(), y.Message())
	}
}

func (d *diff) list(at string, fd protoreflect.FieldDescriptor, a, b protoreflect.List) {
	for i := range max(a.Len(), b.Len()) {
		p := fmt.Sprintf("%s[%d]", at, i)
		switch {
		case i >= a.Len() || i >= b.Len():
			d.add(p)
		case fd.Message() != nil:
			d.message(p, a.Get(i).Message(), b.Get(i).Message())
		case !a.Get(i).Equal(b.Get(i)):
			d.add(p)
		}
	}
}

func (d *diff) mapping(at string, fd protoreflect.FieldDescriptor, a, b protoreflect.Map) {
	var keys []protoreflect.MapKey
	note := func(k protoreflect.MapKey, _ protoreflect.Value) bool { keys = append(keys, k); return true }
	a.Range(note)
	b.Range(func(k protoreflect.MapKey, v protoreflect.Value) bool { return a.Has(k) || note(k, v) })
	slices.SortFunc(keys, func(x, y protoreflect.MapKey) int {
		switch {
		case x.String() < y.String():
			return -1
		case x.String() > y.String():
			return 1
		}
		return 0
	})
	for _, k := range keys {
		p := fmt.Sprintf("%s[%q]", at, k.String())
		switch {
		case !a.Has(k) || !b.Has(k):
			d.add(p)
		case fd.MapValue().Message() != nil:
			d.message(p, a.Get(k).Message(), b.Get(k).Message())
		case !a.Get(k).Equal(b.Get(k)):
			d.add(p)
		}
	}
}

func join(at, name string) string {
	if at == "" {
		return name
	}
	return at + "." + name
}
