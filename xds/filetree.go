package xds

import (
	"bytes"
	"errors"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/turn"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// A nest is a list in a message that may be long: its items are read one by one, and those whose text did not change not at all.
type nest struct {
	url         string // of the resource that it is in; "" of one within another
	name, alias string // of the field, in its two spellings
	field       protowire.Number
	item        func() proto.Message
	inner       *nest // of the items
}

// nestOf gives the nest of a type, nil when it has none.
func nestOf(url string) *nest {
	switch url {
	case RouteType:
		return &nest{url, "virtual_hosts", "virtualHosts", 2, func() proto.Message { return &routev3.VirtualHost{} }, &nest{
			"", "routes", "routes", 3, func() proto.Message { return &routev3.Route{} }, nil,
		}}
	case EndpointType:
		return &nest{url, "endpoints", "endpoints", 2, func() proto.Message { return &endpointv3.LocalityLbEndpoints{} }, &nest{
			"", "lb_endpoints", "lbEndpoints", 2, func() proto.Message { return &endpointv3.LbEndpoint{} }, nil,
		}}
	}
	return nil
}

// A tree is how the text of a message with a nest came to its bytes.
type tree struct {
	rest, head []byte   // text of all but the items, and its bytes
	texts      [][]byte // of the items
	bytes      [][]byte // of the items
	trees      []*tree  // of the items; nil of small ones
}

// worthwhile is the length of a text below which it is read as it is.
const worthwhile = 4 << 10

// errNotNested says that a text is to be read as a whole.
var errNotNested = errors.New("not nested")

// resource reads a resource. was is what is known of another version of it, or nil. n may be nil.
func (n *nest) resource(text []byte, was *tree) (*anypb.Any, *tree, error) {
	if n != nil && len(text) >= worthwhile {
		head := func(rest []byte) ([]byte, error) {
			a := &anypb.Any{}
			if _, err := yamlproto.Unmarshal(rest, a, yamlproto.Options{}); err != nil || a.TypeUrl != n.url {
				return nil, errNotNested
			}
			return a.Value, nil
		}
		if t, err := n.read(text, was, head); err == nil {
			return &anypb.Any{TypeUrl: n.url, Value: t.encode(n.field)}, t, nil
		}
	}
	a := &anypb.Any{}
	_, err := yamlproto.Unmarshal(text, a, yamlproto.Options{})
	return a, nil, err
}

// read reads a message that has the nest; head reads it without the items.
func (n *nest) read(text []byte, was *tree, head func([]byte) ([]byte, error)) (*tree, error) {
	texts, rest, ok := cutItems(text, n.name, n.alias)
	if !ok {
		return nil, errNotNested
	}
	if was == nil {
		was = &tree{}
	}
	t := &tree{rest: rest, texts: texts, bytes: make([][]byte, len(texts)), trees: make([]*tree, len(texts))}
	if t.head = was.head; !bytes.Equal(rest, was.rest) || len(was.rest) == 0 {
		var err error
		if t.head, err = head(rest); err != nil {
			return nil, err
		}
	}
	if p := core.TakeApart(t.head, n.field); !p.OK || len(p.Items) > 0 {
		return nil, errNotNested
	}
	var now turn.Turn
	for i, pair := range core.Align(was.texts, texts) {
		now.Pass()
		var known *tree
		if pair.Old >= 0 {
			known = was.trees[pair.Old]
		}
		if pair.Same {
			t.bytes[i], t.trees[i] = was.bytes[pair.Old], known
			continue
		}
		var err error
		if t.bytes[i], t.trees[i], err = n.message(texts[i], known); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// message reads an item.
func (n *nest) message(text []byte, was *tree) ([]byte, *tree, error) {
	plain := func(text []byte) ([]byte, error) {
		m := n.item()
		if _, err := yamlproto.Unmarshal(text, m, yamlproto.Options{}); err != nil {
			return nil, err
		}
		return proto.MarshalOptions{Deterministic: true}.Marshal(m)
	}
	if n.inner != nil && len(text) >= worthwhile {
		if t, err := n.inner.read(text, was, plain); err == nil {
			return t.encode(n.inner.field), t, nil
		}
	}
	b, err := plain(text)
	return b, nil, err
}

// encode gives the message.
func (t *tree) encode(field protowire.Number) []byte {
	size := len(t.head)
	for _, b := range t.bytes {
		size += protowire.SizeTag(field) + protowire.SizeBytes(len(b))
	}
	out := append(make([]byte, 0, size), t.head...)
	for _, b := range t.bytes {
		out = protowire.AppendBytes(protowire.AppendTag(out, field, protowire.BytesType), b)
	}
	return out
}
