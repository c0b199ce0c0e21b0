package protos

import (
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
