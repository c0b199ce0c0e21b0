package yamlproto

import "github.com/weirproxy/weir/config/fielderr"

// Index maps field paths of a message to positions in the text it was read from.
//
// A path is made of proto field names, list indexes and quoted map keys:
// `static_resources.listeners[0].filter_chains[2].filters[0].typed_config.route_config.virtual_hosts[0]`,
// `typed_per_filter_config["envoy.filters.http.cors"]`. The fields of a message inside google.protobuf.Any follow the name of
// the Any field directly. The members of a google.protobuf.Struct are written like fields or like map keys.
//
// An Index is immutable once it is returned, and safe for concurrent use. A nil Index stands for a message that was not read
// from a text: its errors carry paths without positions.
type Index struct {
	prefix   string
	root     entry
	resolver Resolver
}

// kind says how an entry's children are addressed, and how two entries merge.
type kind uint8

const (
	kindScalar  kind = iota
	kindMessage      // children by field name
	kindAny          // like kindMessage; a merge replaces the whole
	kindList         // children by index
	kindMap          // children by key: map fields and Struct
)

type pos struct{ line, col int32 }

// entry is one field, list item or map entry that is present in the text.
type entry struct {
	name string // field name or map key; "" for list items and the root
	src  *source
	kids []entry
	pos  pos
	kind kind
}

func (e *entry) position() Position {
	p := Position{Line: int(e.pos.line), Column: int(e.pos.col)}
	if e.src != nil {
		p.File = e.src.file
	}
	return p
}

// child finds the child that a path step names; nil if the text does not have it.
func (e *entry) child(s step) *entry {
	if e.kind == kindList {
		if s.index < 0 || s.index >= len(e.kids) {
			return nil
		}
		return &e.kids[s.index]
	}
	for i := range e.kids {
		if e.kids[i].name == s.name {
			return &e.kids[i]
		}
	}
	// Members of a Struct keep the names they were written with; a typed message inside may be asked for by proto name.
	if e.kind == kindMap && s.index < 0 {
		for i := range e.kids {
			if fold(e.kids[i].name) == fold(s.name) {
				return &e.kids[i]
			}
		}
	}
	return nil
}

// At returns the position of the field at path, or of the nearest enclosing one that the text has. It returns false when not
// even the first step of a non-empty path is present.
func (x *Index) At(path string) (Position, bool) {
	e, depth := x.find(path)
	return e.position(), depth > 0 || path == ""
}

// find descends as far as the text goes.
func (x *Index) find(path string) (e *entry, depth int) {
	if x == nil {
		return &entry{}, 0
	}
	e = &x.root
	for path != "" {
		var s step
		s, path = nextStep(path)
		c := e.child(s)
		if c == nil {
			break
		}
		e, depth = c, depth+1
	}
	return e, depth
}

// Wrap attaches the position of path to an error found later (a semantic rule, a support class). The result prints the full
// path, also when x is a part of a larger index.
func (x *Index) Wrap(path string, err error) *Error {
	e, _ := x.find(path)
	p := e.position()
	return &Error{Pos: p, Path: Join(x.Prefix(), path), Message: err.Error(), Source: e.src.excerptOf(p.Line), cause: err}
}

// Errors attaches positions to everything that a decoder found wrong (config/fielderr, paths relative to the message of this
// index), in the order of the text. Nil gives nil.
func (x *Index) Errors(err error) Errors {
	var out Errors
	for _, f := range fielderr.All(err) {
		out = append(out, x.Wrap(f.Path, f.Err))
	}
	return out.Sorted()
}

// Prefix is the path of the message this index describes inside the text; "" for a whole text.
func (x *Index) Prefix() string {
	if x == nil {
		return ""
	}
	return x.prefix
}

// Sub returns the index of the part at path. Its paths are relative to that part, its errors carry the full path.
func (x *Index) Sub(path string) *Index {
	if x == nil {
		return nil
	}
	e, depth := x.find(path)
	root := *e
	if depth < steps(path) { // not in the text: the part has the position of what encloses it, and nothing inside
		root = entry{src: e.src, pos: e.pos}
	}
	return &Index{prefix: Join(x.prefix, path), root: root, resolver: x.resolver}
}

// Merge returns the index of the message that proto.Merge makes of two: y's message merged over x's. Lists are appended, map
// entries, Anys and scalars replaced, messages merged.
func (x *Index) Merge(y *Index) *Index {
	switch {
	case x == nil:
		return y
	case y == nil:
		return x
	}
	return &Index{prefix: x.prefix, root: mergeEntry(x.root, y.root), resolver: x.resolver}
}

func mergeEntry(a, b entry) entry {
	if a.kind != b.kind {
		return b
	}
	switch a.kind {
	case kindList:
		a.kids = append(a.kids[:len(a.kids):len(a.kids)], b.kids...)
		return a
	case kindMessage, kindMap:
		out := a
		out.kids = append([]entry(nil), a.kids...)
		for _, kb := range b.kids {
			i := 0
			for i < len(out.kids) && out.kids[i].name != kb.name {
				i++
			}
			switch {
			case i == len(out.kids):
				out.kids = append(out.kids, kb)
			case a.kind == kindMap:
				out.kids[i] = kb
			default:
				out.kids[i] = mergeEntry(out.kids[i], kb)
			}
		}
		return out
	default:
		return b
	}
}
