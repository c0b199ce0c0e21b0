package protos

import (
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Every type is in the table once, and an Any of it resolves.
func TestTypesResolve(t *testing.T) {
	seen := make(map[protoreflect.FullName]bool)
	for _, m := range Types() {
		name := m.ProtoReflect().Descriptor().FullName()
		if seen[name] {
			t.Errorf("%s is in the table twice", name)
		}
		seen[name] = true
		mt, err := protoregistry.GlobalTypes.FindMessageByURL("type.googleapis.com/" + string(name))
		if err != nil || mt.Descriptor().FullName() != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
