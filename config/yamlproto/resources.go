package yamlproto

import (
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

// Resource is one xDS resource read from a file.
type Resource struct {
	// Name is the resource's own name (its field name or cluster_name).
	Name string
	// Any holds the type URL and the deterministic bytes.
	Any *anypb.Any
	// Index has the positions; its root is the resource.
	Index *Index
}

// UnmarshalResources reads the xDS resources of one file. The file is one of, or several YAML documents of:
//
//   - a message with "@type";
//   - a list of such messages;
//   - a mapping with "resources", a list of such messages, as in Envoy's filesystem subscriptions (a DiscoveryResponse; its
//     version_info, type_url, nonce and control_plane may stand beside and say nothing here).
//
// A resource without a name, and two resources of one type and name, are errors.
func UnmarshalResources(data []byte, o Options) ([]Resource, error) {
	d := newDecoder(newSource(o.File, data), o)
	r := &resourceReader{decoder: d, lines: make(map[[2]string]int)}
	for _, doc := range d.parse() {
		if !isNull(doc) {
			r.document(doc)
		}
	}
	return r.out, d.err()
}

type resourceReader struct {
	*decoder
	out   []Resource
	lines map[[2]string]int // type URL and name → line
}

func (r *resourceReader) document(n *yaml.Node) {
	n, done, ok := r.resolve(n)
	defer done()
	if !ok {
		return
	}
	switch n.Kind {
	case yaml.SequenceNode:
		r.list(n)
	case yaml.MappingNode:
		if hasKey(n, "@type") || !hasKey(n, "resources") {
			r.resource(n)
			return
		}
		r.envelope(n)
	default:
		r.fail(n, `want a resource with "@type", a list of resources, or "resources:", found %s`, describe(n))
	}
}

func (r *resourceReader) envelope(n *yaml.Node) {
	for key, value := range r.pairs(n, nil) {
		switch key.Value {
		case "resources":
			r.enter(step{name: "resources", index: -1})
			r.list(value)
			r.leave()
		case "version_info", "versionInfo", "type_url", "typeUrl", "nonce", "control_plane", "controlPlane":
		default:
			e := r.fail(key, "unknown field %s beside resources", quote(key.Value))
			e.Valid = []string{"resources", "version_info", "type_url", "nonce", "control_plane"}
			if s := Nearest(key.Value, e.Valid); s != "" {
				e.Suggestion = "did you mean " + quote(s) + "?"
			}
		}
	}
}

func (r *resourceReader) list(n *yaml.Node) {
	n, done, ok := r.resolve(n)
	defer done()
	switch {
	case !ok || isNull(n):
	case n.Kind != yaml.SequenceNode:
		r.fail(n, "want a list of resources, found %s", describe(n))
	default:
		for i, item := range n.Content {
			r.enter(step{index: i})
			r.resource(item)
			r.leave()
		}
	}
}

func (r *resourceReader) resource(n *yaml.Node) {
	before := len(r.errs)
	a := &anypb.Any{}
	// Paths inside a resource are relative to it: a resource keeps its paths wherever it travels.
	outer := r.path
	r.path = nil
	defer func() { r.path = outer }()
	root := r.message(n, a.ProtoReflect())
	if a.TypeUrl == "" {
		if len(r.errs) == before {
			r.fail(n, `no "@type" says which resource this is`)
		}
		return
	}
	x := &Index{root: root, resolver: r.resolver}
	m, err := unpack(a, r.resolver)
	if err != nil {
		r.fail(n, "%v", err)
		return
	}
	name, named := resourceName(m)
	if named && name == "" && len(r.errs) == before {
		r.fail(n, "this %s has no name", m.ProtoReflect().Descriptor().FullName())
	}
	if name != "" {
		key := [2]string{a.TypeUrl, name}
		if line := r.lines[key]; line > 0 {
			r.fail(n, "%s %s is defined twice, first at line %d", m.ProtoReflect().Descriptor().Name(), quote(name), line)
		} else {
			r.lines[key] = n.Line
		}
	}
	r.out = append(r.out, Resource{Name: name, Any: a, Index: x})
}

// resourceName returns the name by which xDS knows a resource; named is false for types that have no such field.
func resourceName(m proto.Message) (name string, named bool) {
	fs := m.ProtoReflect().Descriptor().Fields()
	for _, f := range []protoreflect.Name{"cluster_name", "name"} {
		if fd := fs.ByName(f); fd != nil && fd.Kind() == protoreflect.StringKind && !fd.IsList() {
			return m.ProtoReflect().Get(fd).String(), true
		}
	}
	return "", false
}

func hasKey(n *yaml.Node, name string) bool {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return true
		}
	}
	return false
}
