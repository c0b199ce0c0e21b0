package server

import (
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// secretsOf gives the secrets that a resource wants of this server: those of its SdsSecretConfigs, wherever they stand, that come by
// the aggregated stream.
func secretsOf(m proto.Message) map[string]bool {
	out := map[string]bool{}
	findSecrets(m.ProtoReflect(), out, maxAny)
	return out
}

// maxAny bounds how deep Any may stand in Any; real configurations stay below ten.
const maxAny = 64

func findSecrets(m protoreflect.Message, out map[string]bool, depth int) {
	switch t := m.Interface().(type) {
	case *anypb.Any:
		if in, err := t.UnmarshalNew(); err == nil && depth > 0 {
			findSecrets(in.ProtoReflect(), out, depth-1)
		}
		return
	case *tlsv3.SdsSecretConfig:
		if t.GetSdsConfig().GetAds() != nil && t.GetName() != "" {
			out[t.GetName()] = true
		}
		return
	}
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.IsMap():
			if fd.MapValue().Message() != nil {
				v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
					findSecrets(v.Message(), out, depth)
					return true
				})
			}
		case fd.Message() == nil:
		case fd.IsList():
			for i := range v.List().Len() {
				findSecrets(v.List().Get(i).Message(), out, depth)
			}
		default:
			findSecrets(v.Message(), out, depth)
		}
		return true
	})
}
