package xds

import (
	"fmt"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func responses() []proto.Message {
	state := &discoveryv3.DiscoveryResponse{VersionInfo: "1", TypeUrl: ClusterType, Nonce: "n"}
	delta := &discoveryv3.DeltaDiscoveryResponse{SystemVersionInfo: "1", TypeUrl: ClusterType, RemovedResources: []string{"x"}}
	for i := range 3 {
		a := &anypb.Any{TypeUrl: ClusterType, Value: fmt.Append(nil, "value ", i)}
		state.Resources = append(state.Resources, a)
		delta.Resources = append(delta.Resources, &discoveryv3.Resource{Name: fmt.Sprint(i), Resource: a})
	}
	return []proto.Message{state, delta, &discoveryv3.DiscoveryResponse{}, &discoveryv3.DiscoveryRequest{VersionInfo: "1"}}
}

// FuzzCodec: the codec reads what proto reads, and refuses what it refuses; whatever is read of a response does not depend on gRPC's buffers.
func FuzzCodec(f *testing.F) {
	for i, m := range responses() {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(i%2 == 1, b)
		f.Add(i%2 == 0, append(b, 0x12, 3, 0x0a))
	}
	f.Fuzz(func(t *testing.T, delta bool, b []byte) {
		var got, want proto.Message = &discoveryv3.DiscoveryResponse{}, &discoveryv3.DiscoveryResponse{}
		if delta {
			got, want = &discoveryv3.DeltaDiscoveryResponse{}, &discoveryv3.DeltaDiscoveryResponse{}
		}
		wire := append([]byte(nil), b...)
		half := len(wire) / 2
		err := newCodec().Unmarshal(mem.BufferSlice{mem.SliceBuffer(wire[:half]), mem.SliceBuffer(wire[half:])}, got)
		clear(wire)
		wantErr := proto.Unmarshal(b, want)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, want %v", err, wantErr)
		}
		if err == nil && !proto.Equal(got, want) {
			t.Fatalf("%v, want %v", got, want)
		}
	})
}

// TestCodecWrites what gRPC's own writes.
func TestCodecWrites(t *testing.T) {
	for _, m := range responses() {
		b, err := newCodec().Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		got := m.ProtoReflect().New().Interface()
		if err := newCodec().Unmarshal(b, got); err != nil || !proto.Equal(got, m) {
			t.Errorf("%v (%v), want %v", got, err, m)
		}
	}
}
