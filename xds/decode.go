package xds

import (
	"errors"
	"fmt"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/turn"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// Decode turns one resource into the model, or says with a field path why it cannot. It is pure and may be called from any
// goroutine; config.Decoder has it.
type Decode func(typeURL string, a *anypb.Any) (*config.Resource, error)

// Again does the same where another version of the resource is here, of which it may take over what did not change.
type Again func(typeURL string, a *anypb.Any, was *config.Resource) (*config.Resource, error)

// all decodes a list. A panic is an error like any other: a hostile push never ends the proxy (grpc-go does the same).
func (d Decode) all(typeURL string, items []*anypb.Any) []Result {
	return d.again(nil, DecodeItems{TypeURL: typeURL, Items: items})
}

// again does so with what is here of the items; f may be nil.
func (d Decode) again(f Again, items DecodeItems) []Result {
	out := make([]Result, len(items.Items))
	var t turn.Turn
	for i, a := range items.Items {
		t.Pass()
		one := d
		if f != nil && items.Was[i] != nil {
			one = func(typeURL string, a *anypb.Any) (*config.Resource, error) { return f(typeURL, a, items.Was[i]) }
		}
		out[i].Resource, out[i].Err = one.one(items.TypeURL, a)
	}
	return out
}

func (d Decode) one(typeURL string, a *anypb.Any) (r *config.Resource, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, fmt.Errorf("decoder panicked: %v", p)
		}
	}()
	if r, err = d(typeURL, a); err == nil && r == nil {
		err = errors.New("decoder gave no resource")
	}
	return r, err
}

// wrapperType may be put around a resource of a SotW response, to give it a time to live.
const wrapperType = "type.googleapis.com/envoy.service.discovery.v3.Resource"

// unwrap takes a discovery.v3.Resource off an item of a SotW response. One without a resource is a
// heartbeat: it renews the time to live of what the client has (xDS protocol: TTL).
func (it *item) unwrap() error {
	if it.any.GetTypeUrl() != wrapperType {
		return nil
	}
	var w discoveryv3.Resource
	if err := proto.Unmarshal(it.any.GetValue(), &w); err != nil {
		return fmt.Errorf("discovery.v3.Resource: %w", err)
	}
	return it.open(&w)
}

// open takes in what a wrapper holds.
func (it *item) open(w *discoveryv3.Resource) error {
	it.any, it.name, it.version, it.ttl = w.GetResource(), w.GetName(), w.GetVersion(), w.GetTtl().AsDuration()
	if it.name == "" {
		it.name = w.GetResourceName().GetName()
	}
	it.aliases = w.GetAliases()
	if w.GetTtl() != nil && it.ttl <= 0 {
		return fmt.Errorf("discovery.v3.Resource: ttl: want more than 0, found %v", it.ttl)
	}
	if it.any == nil {
		if it.heartbeat = true; it.name == "" {
			return errors.New("discovery.v3.Resource: neither name nor resource is set")
		}
	}
	return nil
}

// nameOf reads a resource's name from its bytes without decoding it; it points into them. The name is field 1 in all four types:
// Cluster.name, Listener.name, RouteConfiguration.name, ClusterLoadAssignment.cluster_name.
func nameOf(b []byte) (name []byte, err error) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return nil, fmt.Errorf("not a protobuf message: %w", protowire.ParseError(n))
		}
		b = b[n:]
		if num == 1 && typ == protowire.BytesType {
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return nil, fmt.Errorf("not a protobuf message: %w", protowire.ParseError(n))
			}
			name, b = v, b[n:]
			continue
		}
		if n = protowire.ConsumeFieldValue(num, typ, b); n < 0 {
			return nil, fmt.Errorf("not a protobuf message: %w", protowire.ParseError(n))
		}
		b = b[n:]
	}
	if len(name) == 0 {
		return nil, errors.New("resource name unset")
	}
	return name, nil
}
