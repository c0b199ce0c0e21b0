package support

import (
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/yamlproto"
)

// Mode says what is done about fields that are set and not implemented.
type Mode uint8

// The modes.
const (
	// Reject refuses every unsupported field. It is for static configuration and validation.
	Reject Mode = iota
	// Degrade accepts unsupported fields, except security-bearing ones. It is for resources of a control plane, which may be
	// newer than this binary.
	Degrade
	// Strict refuses harmless fields too: what is written has an effect, or is refused.
	Strict
)

// String prints the mode as flags spell it.
func (m Mode) String() string {
	switch m {
	case Degrade:
		return "degrade"
	case Strict:
		return "strict"
	default:
		return "reject"
	}
}

// Finding is one field that is set and not implemented, or one type that may not stand where it stands.
type Finding struct {
	// ResourceName is the resource that was checked.
	ResourceName string
	// Path is where, as yamlproto.Index understands it.
	Path string
	// Field is the full name of the field ("envoy.config.listener.v3.Listener.api_listener"), with "=VALUE" when only the
	// value is not implemented; or the name of the message type, when that is meant as a whole.
	Field string
	// Class is Unsupported or, in mode Strict only, Harmless.
	Class Class
	// Reason says why, in a few words; may be empty.
	Reason string
	// Security marks what is rejected in every mode.
	Security bool
	// Alternative names what to use instead; may be empty.
	Alternative string

	mode Mode
	kind kind
}

// kind says what a finding is about.
type kind uint8

const (
	aField kind = iota
	aValue
	aType
)

// Rejects tells whether the finding forbids the resource, in the mode it was found in.
func (f Finding) Rejects() bool {
	switch {
	case f.mode == Strict:
		return true
	case f.Class != Unsupported:
		return false
	}
	return f.Security || f.mode == Reject
}

// Error says what is not supported and what to use instead, without the path.
func (f Finding) Error() string {
	what := "unsupported"
	if f.Class == Harmless {
		what = "ineffective"
	}
	switch f.kind {
	case aValue:
		what += " value " + f.Field[strings.LastIndexByte(f.Field, '=')+1:]
	case aType:
		what += " type " + f.Field
	default:
		what += " field"
	}
	if f.Reason != "" {
		what += ": " + f.Reason
	}
	if f.Alternative != "" {
		what += " (use " + f.Alternative + ")"
	}
	return what
}

// Check returns every field of m that is set and not implemented, in the order of the protos. m may be an Any. The name of the
// resource is copied into the findings.
func Check(m proto.Message, resource string, mode Mode) []Finding {
	return standard().Check(m, resource, mode)
}

// Check is [Check] with another table.
func (t *Table) Check(m proto.Message, resource string, mode Mode) []Finding {
	c := &checker{table: t, resource: resource, mode: mode}
	c.value(m.ProtoReflect(), false)
	return c.found
}

// Errors turns the findings that reject into errors with positions; x may be nil.
func Errors(found []Finding, x *yamlproto.Index) yamlproto.Errors {
	var out yamlproto.Errors
	for _, f := range found {
		if f.Rejects() {
			out = append(out, x.Wrap(f.Path, f))
		}
	}
	return out.Sorted()
}
