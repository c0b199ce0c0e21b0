// Package config turns xDS resources into the model: immutable values that the data plane runs and that contain no protos.
//
//  1. resources.go is the table of xDS types; each row decodes one of them.
//  2. A Decoder takes a resource's bytes: it unmarshals them, checks the protos' constraints and the support table over the whole
//     message, and has the type's package build the model. Everything wrong is reported at once, each with its field path.
//  3. Extensions inside (filters, load-balancing policies, …) are parsed by their factories, found in the registry.
//  4. Decoded resources make a Snapshot: the whole configuration at one moment.
package config

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// A Decoder turns resources into the model. It is stateless: its fields are set once, and Decode may be called from any goroutine.
// Messages inside Any are found among those linked into the program; config/protos is the table of them.
type Decoder struct {
	Registry *extension.Registry
	// Runtime has the keys that what is decoded reads; nil: all have their defaults.
	Runtime *runtime.Registry
	// Mode is what to do with unsupported fields of dynamic resources. Static ones are held to support.Reject at least, unless
	// LenientStatic holds them to Mode as it is.
	Mode          support.Mode
	LenientStatic bool
	// Secrets names the secrets of the bootstrap: references without sds_config may name no other.
	Secrets []string

	static bool
}

// Decode turns one resource into the model. static says that it comes from the bootstrap or a file rather than from a control
// plane. The error, if any, is an [*Error] with every mistake, except when the bytes are not the message at all. It never panics.
func (d *Decoder) Decode(typeURL string, a *anypb.Any, static bool) (r *Resource, err error) {
	t, ok := TypeOf(typeURL)
	if !ok {
		return nil, fmt.Errorf("unknown resource type %q", typeURL)
	}
	defer func() {
		if p := recover(); p != nil {
			r, err = nil, &PanicError{Kind: t.Kind, Value: p, Stack: debug.Stack()}
		}
	}()
	if a == nil || messageName(a) != messageName(&anypb.Any{TypeUrl: typeURL}) {
		return nil, fmt.Errorf("%s: resource of type %q where %q is wanted", t.Kind, a.GetTypeUrl(), typeURL)
	}
	own := *d
	own.static = static
	r, err = t.Decode(&own, a)
	if e, ok := err.(*Error); ok {
		e.Kind = t.Kind
	}
	return r, err
}

// A PanicError is a mistake of the program that a resource brought to light: the resource is refused and the proxy goes on.
type PanicError struct {
	Kind  string
	Value any
	Stack []byte // where it happened
}

// Error says what happened, without the stack.
func (e *PanicError) Error() string { return fmt.Sprintf("%s: decoder panicked: %v", e.Kind, e.Value) }

// check holds a message against its declared constraints and the support table. It adds what is refused to e and gives what is
// accepted without effect.
func (d *Decoder) check(e *Error, m proto.Message) (degraded []string) {
	var positions *yamlproto.Index // none: the bytes have no lines
	for _, v := range positions.Validate(m) {
		e.add(fieldError(v.Path, errors.New(v.Message)))
	}
	mode := d.Mode
	if d.static && !d.LenientStatic && mode != support.Strict {
		mode = support.Reject
	}
	for _, f := range support.Check(m, e.Name, mode) {
		switch {
		case f.Rejects():
			e.add(fieldError(f.Path, f))
		default:
			degraded = append(degraded, fieldError(f.Path, f).Error())
		}
	}
	return degraded
}

// secrets gives the references to secrets of the bootstrap that are not there.
func (d *Decoder) secrets(refs []extension.Ref) error {
	var l fielderr.List
	for _, r := range refs {
		if r.Source.Static && !slices.Contains(d.Secrets, r.Name) {
			l.Addf("", "secret %q is not in the bootstrap (static_resources.secrets), and no sds_config says where it comes from", r.Name)
		}
	}
	return l.Err()
}

func fieldError(path string, err error) *fielderr.Error { return &fielderr.Error{Path: path, Err: err} }

// add takes the mistakes of one more judge. What an earlier one said of the same field is enough.
func (e *Error) add(err error) {
	if err == nil {
		return
	}
	said := make(map[string]bool, len(e.Errs))
	for _, f := range e.Errs {
		said[f.Path] = true
	}
	for _, f := range fielderr.All(err) {
		if !said[f.Path] {
			e.Errs = append(e.Errs, f)
		}
	}
}
