package xds

import (
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/turn"
	"google.golang.org/grpc/encoding"
	protocodec "google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// codec reads responses as gRPC's own does, but resource by resource, in turns with requests: one response may have all there are.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(protocodec.Name)} }

// Name is empty, so that the content type stays application/grpc.
func (codec) Name() string { return "" }

// resourcesField is DiscoveryResponse.resources, and DeltaDiscoveryResponse.resources.
const resourcesField protowire.Number = 2

// Unmarshal implements encoding.CodecV2.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	m, ok := v.(proto.Message)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	var add func([]byte) error
	switch r := v.(type) {
	case *discoveryv3.DiscoveryResponse:
		add = into(func(a *anypb.Any) { r.Resources = append(r.Resources, a) })
	case *discoveryv3.DeltaDiscoveryResponse:
		add = into(func(a *discoveryv3.Resource) { r.Resources = append(r.Resources, a) })
	default:
		return c.CodecV2.Unmarshal(data, v)
	}
	all := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer all.Free()
	parts := core.TakeApart(all.ReadOnlyData(), resourcesField)
	if !parts.OK {
		return c.CodecV2.Unmarshal(data, v) // says what is wrong
	}
	if err := proto.Unmarshal(parts.Rest, m); err != nil {
		return fmt.Errorf("response: %w", err)
	}
	var now turn.Turn
	for i, b := range parts.Items {
		now.Pass()
		if err := add(b); err != nil {
			return fmt.Errorf("response: resources[%d]: %w", i, err)
		}
	}
	return nil
}

// into reads a message and hands it on.
func into[M any, P interface {
	*M
	proto.Message
}](take func(P)) func([]byte) error {
	return func(b []byte) error {
		m := P(new(M))
		take(m)
		return proto.Unmarshal(b, m)
	}
}
