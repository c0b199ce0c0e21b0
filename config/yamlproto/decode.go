package yamlproto

import (
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

const (
	// maxDepth bounds nesting. The deepest real configurations (matcher trees) stay below 60; protobuf's own limit when it
	// reads a message back is 10,000.
	maxDepth = 500
	// aliasBudget bounds how many nodes aliases may stand for ("billion laughs"), see decoder.resolve.
	aliasBudget = 200_000
)

// decoder walks one text. It is used once.
type decoder struct {
	src      *source
	resolver Resolver
	errs     Errors

	path    []step              // from the root to the node at hand
	open    map[*yaml.Node]bool // anchors being expanded: an anchor that contains itself would not end
	aliases int                 // nesting of aliases
	spent   int                 // nodes met behind aliases
	secret  int                 // nesting of fields whose values must not be shown
}

func newDecoder(src *source, o Options) *decoder {
	return &decoder{src: src, resolver: o.resolver()}
}

// err returns the mistakes as an error, nil when there is none.
func (d *decoder) err() error {
	if len(d.errs) == 0 {
		return nil
	}
	for _, e := range d.errs { // now every secret of the text is known
		if e.Source == "" {
			e.Source = d.src.excerptOf(e.Pos.Line)
		}
	}
	return d.errs.Sorted()
}

// fail records a mistake at a node.
func (d *decoder) fail(n *yaml.Node, format string, args ...any) *Error {
	return d.failAt(n.Line, n.Column, format, args...)
}

func (d *decoder) failAt(line, col int, format string, args ...any) *Error {
	e := &Error{
		Pos:     Position{d.src.file, line, col},
		Path:    d.pathString(),
		Message: fmt.Sprintf(format, args...),
	}
	d.errs = append(d.errs, e)
	return e
}

func (d *decoder) pathString() string {
	var b strings.Builder
	for _, s := range d.path {
		switch {
		case s.index >= 0:
			b.WriteString("[" + strconv.Itoa(s.index) + "]")
		case plainName(s.name):
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.name)
		default:
			b.WriteString("[" + strconv.Quote(s.name) + "]")
		}
	}
	return b.String()
}

// plainName tells names that need no quotes in a path.
func plainName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}

func (d *decoder) enter(s step) { d.path = append(d.path, s) }
func (d *decoder) leave()       { d.path = d.path[:len(d.path)-1] }

// resolve follows aliases. The caller calls done when it has read the node; ok is false when the node must not be read.
func (d *decoder) resolve(n *yaml.Node) (target *yaml.Node, done func(), ok bool) {
	done = func() {}
	if d.aliases > 0 {
		if d.spent++; d.spent > aliasBudget {
			if d.spent == aliasBudget+1 {
				d.fail(n, "aliases stand for more than %d values", aliasBudget)
			}
			return n, done, false
		}
	}
	if len(d.path) > maxDepth {
		d.fail(n, "nested more than %d levels deep", maxDepth)
		return n, done, false
	}
	if n.Kind != yaml.AliasNode {
		return n, done, true
	}
	target = n.Alias
	if target == nil || d.open[target] {
		d.fail(n, "alias %q stands for a value that contains it", n.Value)
		return n, done, false
	}
	if d.open == nil {
		d.open = make(map[*yaml.Node]bool)
	}
	d.open[target] = true
	d.aliases++
	return target, func() { delete(d.open, target); d.aliases-- }, true
}

// entryAt starts an index entry at a node. Blocks are entered by the line of their key, see field.
func (d *decoder) entryAt(n *yaml.Node, k kind) entry {
	return entry{kind: k, src: d.src, pos: pos{int32(n.Line), int32(n.Column)}}
}

// message reads a mapping (or what a well-known type wants instead) into m.
func (d *decoder) message(n *yaml.Node, m protoreflect.Message) entry {
	n, done, ok := d.resolve(n)
	defer done()
	if !ok {
		return d.entryAt(n, kindMessage)
	}
	if f := wellKnown(m.Descriptor()); f != nil {
		return f(d, n, m)
	}
	e := d.entryAt(n, kindMessage)
	if n.Kind != yaml.MappingNode {
		d.fail(n, "want a mapping (%s), found %s", m.Descriptor().FullName(), describe(n))
		return e
	}
	e.kids = d.fields(n, m, "")
	return e
}

// fields reads the pairs of a mapping into m. skip is a key that belongs to the caller ("@type").
func (d *decoder) fields(n *yaml.Node, m protoreflect.Message, skip string) (kids []entry) {
	md := m.Descriptor()
	seen := make(map[protoreflect.FieldNumber]*yaml.Node, len(n.Content)/2)
	oneofs := make(map[protoreflect.Name]*yaml.Node)
	for key, value := range d.pairs(n, md) {
		if skip != "" && key.Value == skip {
			continue
		}
		fd := findField(md, key.Value)
		if fd == nil {
			d.unknownField(key, value, md)
			continue
		}
		if first := seen[fd.Number()]; first != nil {
			d.hideSkipped(value, fd)
			d.fail(key, "field %s is set twice, first at line %d", quote(string(fd.Name())), first.Line)
			continue
		}
		seen[fd.Number()] = key
		if isNull(value) && !acceptsNull(fd) {
			continue // as in protojson, null leaves the field unset
		}
		if od := fd.ContainingOneof(); od != nil && !od.IsSynthetic() {
			if first := oneofs[od.Name()]; first != nil {
				d.hideSkipped(value, fd)
				d.fail(key, "only one of %s may be set, %s is set at line %d", oneofNames(od), quote(first.Value), first.Line)
				continue
			}
			oneofs[od.Name()] = key
		}
		d.enter(step{name: string(fd.Name()), index: -1})
		before := d.secret
		if isSensitive(fd) {
			d.secret++
		}
		kid := d.field(value, m, fd)
		d.secret = before
		d.leave()
		kid.name = string(fd.Name())
		if value.Kind != yaml.ScalarNode {
			kid.pos = pos{int32(key.Line), int32(key.Column)}
		}
		kids = append(kids, kid)
	}
	return kids
}

// pairs yields the keys and values of a mapping, except those it reports: keys that are not scalars, repeated keys, merge keys.
// md is the message that the mapping is read into, nil when its keys are not fields.
func (d *decoder) pairs(n *yaml.Node, md protoreflect.MessageDescriptor) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		seen := make(map[string]int, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			if key.Kind == yaml.AliasNode && key.Alias != nil {
				at := *key.Alias
				at.Line, at.Column = key.Line, key.Column
				key = &at
			}
			if key.Kind != yaml.ScalarNode {
				d.fail(key, "want a name as key, found %s", describe(key))
				continue
			}
			if key.ShortTag() == "!!merge" {
				e := d.fail(key, "merge keys (\"<<\") are not supported, neither by Envoy")
				e.Suggestion = "repeat the fields, or put an alias in place of a whole value"
				continue
			}
			if line, ok := seen[key.Value]; ok {
				if md != nil {
					d.hideSkipped(value, findField(md, key.Value))
				}
				d.fail(key, "key %s is repeated, first at line %d", quote(key.Value), line)
				continue
			}
			seen[key.Value] = key.Line
			if !yield(key, value) {
				return
			}
		}
	}
}

func (d *decoder) unknownField(key, value *yaml.Node, md protoreflect.MessageDescriptor) {
	d.hideSkipped(value, findField(md, Nearest(key.Value, fieldNames(md, true))))
	if key.Value == "@type" {
		e := d.fail(key, "%q belongs into an Any, this is a %s", "@type", md.FullName())
		e.Suggestion = `remove the "@type" line`
		return
	}
	e := d.fail(key, "unknown field %s in %s", quote(key.Value), md.FullName())
	e.Suggestion = suggestField(key.Value, md)
	e.Valid = fieldNames(md, false)
	if len(e.Valid) == 0 {
		e.Suggestion = "this message has no fields"
	}
}

// findField finds a field by proto name or by its lowerCamelCase JSON name.
func findField(md protoreflect.MessageDescriptor, name string) protoreflect.FieldDescriptor {
	fs := md.Fields()
	fd := fs.ByName(protoreflect.Name(name))
	if fd == nil {
		fd = fs.ByJSONName(name)
	}
	if fd == nil || hiddenField(fd) {
		return nil
	}
	return fd
}

func oneofNames(od protoreflect.OneofDescriptor) string {
	fs := od.Fields()
	names := make([]string, 0, fs.Len())
	for i := range fs.Len() {
		if !hiddenField(fs.Get(i)) {
			names = append(names, string(fs.Get(i).Name()))
		}
	}
	return strings.Join(names, ", ")
}
