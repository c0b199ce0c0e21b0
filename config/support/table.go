// Package support says which fields of Envoy's protos Weir implements, and finds the others in a configuration, so that nothing
// is ignored in silence.
//
// Every field of every message that Weir accepts has one line in the *.txt files of this folder; what has no line is
// unsupported. [Check] walks a message, also behind Any and TypedStruct, and returns every field that is set and not
// implemented. docs/supported-fields.md is the table's printout.
package support

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"sync"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// The files have sections, a line with the message's name in brackets, and below it one line for each field: name, class,
// and, when it is not implemented, the reason and after "->" what to use instead.
//
//	[envoy.config.listener.v3.Listener]
//	address               implemented
//	drain_type            harmless     why nothing is lost by accepting it
//	stats_matcher         unsupported  all statistics are kept
//	fcds_config           unsupported! filter-chain discovery is not implemented -> filter_chains
//
// "unsupported!" is rejected in every mode: the field bears on security (who may connect or ask for what, whom to trust, what a
// request matches, timeouts, retries, limits), or without it the resource would be another thing. "field=VALUE" is the class of
// one value (an enum's name, true, false, a number, a text) where it differs from the field's.
//
// A section may have a class of its own and no lines: "[message] unsupported! reason -> instead" is for types that may stand in
// an Any. "[message] guarded" says that fields which this binary's protos do not know are rejected in every mode.
// "[struct name] class" is a type that has no proto here, in a TypedStruct or by its name in an Any.
//
//go:embed *.txt
var files embed.FS

// Class says what happens to a field that is set.
type Class uint8

// The classes. The zero Class is Unsupported: what nobody has judged is not supported.
const (
	Unsupported Class = iota // has an effect in Envoy and none here
	Harmless                 // accepted; nothing is lost, for the reason given
	Implemented
)

// String prints the class as the files spell it.
func (c Class) String() string {
	switch c {
	case Harmless:
		return "harmless"
	case Implemented:
		return "implemented"
	default:
		return "unsupported"
	}
}

// rule is one line of the table.
type rule struct {
	class       Class
	security    bool
	reason      string
	alternative string
	told        bool // a finding in every mode, although it rejects in Strict only
}

// message is one section of the table.
type message struct {
	name    string
	whole   *rule           // the class of the message as a whole; nil when fields has the classes
	guarded bool            // unknown fields are security-bearing
	fields  map[string]rule // by proto field name
	values  map[string]map[string]rule
	order   []string // the lines as written: "field" or "field=VALUE"
	isType  bool     // a message, not a [struct]
}

// Table is the whole support table. It is immutable.
type Table struct {
	messages map[protoreflect.FullName]*message
	structs  map[string]*message
	sections []section // in the order of the files
}

type section struct {
	file, doc string
	messages  []*message
}

var standard = sync.OnceValue(func() *Table {
	t, err := load(files)
	if err != nil {
		panic("config/support: " + err.Error()) // the files are part of the binary; a test reads them
	}
	return t
})

// Standard returns the table of this binary.
func Standard() *Table { return standard() }

func load(fsys fs.FS) (*Table, error) {
	names, err := fs.Glob(fsys, "*.txt")
	if err != nil {
		return nil, fmt.Errorf("list the table's files: %w", err)
	}
	t := &Table{messages: make(map[protoreflect.FullName]*message), structs: make(map[string]*message)}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		if err := t.parse(strings.TrimSuffix(name, ".txt"), string(data)); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// parse adds one file.
func (t *Table) parse(file, text string) error {
	sec := section{file: file}
	var cur *message
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		var err error
		switch {
		case line == "":
		case strings.HasPrefix(line, "#"):
			if sec.doc == "" {
				sec.doc = strings.TrimSpace(line[1:])
			}
		case strings.HasPrefix(line, "["):
			if cur, err = t.parseHeader(line); err == nil {
				sec.messages = append(sec.messages, cur)
			}
		case cur == nil || cur.whole != nil:
			err = fmt.Errorf("line outside of a section")
		default:
			err = cur.parseLine(line)
		}
		if err != nil {
			return fmt.Errorf("%s.txt:%d: %w", file, i+1, err)
		}
	}
	t.sections = append(t.sections, sec)
	return nil
}

func (t *Table) parseHeader(line string) (*message, error) {
	name, rest, ok := strings.Cut(line[1:], "]")
	if !ok {
		return nil, fmt.Errorf("no closing bracket")
	}
	m := &message{name: name, isType: true, fields: make(map[string]rule), values: make(map[string]map[string]rule)}
	switch rest = strings.TrimSpace(rest); rest {
	case "":
	case "guarded":
		m.guarded = true
	default:
		r, err := parseRule(rest)
		if err != nil {
			return nil, err
		}
		m.whole = &r
	}
	if s, ok := strings.CutPrefix(name, "struct "); ok {
		if m.whole == nil {
			return nil, fmt.Errorf("a struct has a class as a whole")
		}
		m.name, m.isType = s, false
		if t.structs[s] != nil {
			return nil, fmt.Errorf("%s is repeated", name)
		}
		t.structs[s] = m
		return m, nil
	}
	if t.messages[protoreflect.FullName(name)] != nil {
		return nil, fmt.Errorf("%s is repeated", name)
	}
	t.messages[protoreflect.FullName(name)] = m
	return m, nil
}

func (m *message) parseLine(line string) error {
	name, rest, _ := strings.Cut(line, " ")
	r, err := parseRule(strings.TrimSpace(rest))
	if err != nil {
		return err
	}
	m.order = append(m.order, name)
	field, value, isValue := strings.Cut(name, "=")
	if !isValue {
		if _, ok := m.fields[name]; ok {
			return fmt.Errorf("%s is repeated", name)
		}
		m.fields[name] = r
		return nil
	}
	if _, ok := m.values[field][value]; ok {
		return fmt.Errorf("%s is repeated", name)
	}
	if m.values[field] == nil {
		m.values[field] = make(map[string]rule)
	}
	m.values[field][value] = r
	return nil
}

// parseRule reads "class reason -> alternative".
func parseRule(s string) (rule, error) {
	word, rest, _ := strings.Cut(s, " ")
	var r rule
	switch word {
	case "implemented":
		r.class = Implemented
	case "harmless":
		r.class = Harmless
	case "unsupported":
	case "unsupported!":
		r.security = true
	default:
		return r, fmt.Errorf("unknown class %q", word)
	}
	reason, alt, _ := strings.Cut(rest, "->")
	r.reason, r.alternative = strings.TrimSpace(reason), strings.TrimSpace(alt)
	if r.class == Harmless && r.reason == "" {
		return r, fmt.Errorf("a harmless field needs a reason")
	}
	return r, nil
}
