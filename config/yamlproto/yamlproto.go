// Package yamlproto reads Envoy's protos from YAML or JSON and reports every error at its file, line and column.
//
//  1. The text becomes a tree of YAML nodes that know their positions. JSON is read by its own small reader into the same tree.
//  2. The tree is walked along the message descriptor. Each mistake is recorded with its position and the walk goes on, so that
//     one run shows all of them: unknown names (with the nearest valid one), repeated keys, wrong types, bad values, unknown
//     type URLs, also inside google.protobuf.Any.
//  3. The walk leaves an [Index] from field paths to positions. It survives inside Any, so that rules that are checked later
//     (PGV constraints, support classes, references between resources) point at the same lines.
//
// Values follow the protobuf JSON mapping: https://protobuf.dev/programming-guides/json/. Two things differ from plain YAML,
// as in Envoy: merge keys ("<<") are refused, and a scalar keeps its type (a string field wants a string, not a number).
package yamlproto

import (
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Resolver finds the message type behind a type URL ("type.googleapis.com/envoy.config.listener.v3.Listener").
type Resolver interface {
	FindMessageByURL(url string) (protoreflect.MessageType, error)
}

// Options tell where the text comes from and which types it may name.
type Options struct {
	// File is the name that positions carry. Empty means the text has no file; positions then print as "line:column".
	File string
	// Resolver finds the types named by "@type". Nil means protoregistry.GlobalTypes.
	Resolver interface {
		FindMessageByURL(string) (protoreflect.MessageType, error)
	}
}

func (o Options) resolver() Resolver {
	if o.Resolver == nil {
		return protoregistry.GlobalTypes
	}
	return o.Resolver
}

// Unmarshal reads one YAML or JSON document into m, over what m holds already.
//
// The error, if any, is of type [Errors] and holds every mistake in the text, in the order of the text. The index is never
// nil: with an error it covers the part that could be read.
func Unmarshal(data []byte, m proto.Message, o Options) (*Index, error) {
	src := newSource(o.File, data)
	d := newDecoder(src, o)
	docs := d.parse()
	x := &Index{resolver: d.resolver, root: entry{kind: kindMessage, pos: pos{1, 1}, src: src}}
	switch {
	case len(d.errs) > 0:
	case len(docs) == 0:
		// An empty document is an empty message, as an empty YAML file is for Envoy.
	case len(docs) > 1:
		d.fail(docs[1], "more than one YAML document where one message is wanted")
	case isNull(docs[0]):
	default:
		x.root = d.message(docs[0], m.ProtoReflect())
	}
	return x, d.err()
}
