// Package fielderr collects the errors of a decoder, each with the path of the field it is about, so that one pass over a
// resource reports everything that is wrong with it.
//
// Paths are written as config/yamlproto indexes them: proto field names, list indexes, quoted map keys, and the fields of a
// message inside google.protobuf.Any directly behind the name of the Any field:
// `filter_chains[2].filters[0].typed_config.route_config.virtual_hosts[0]`.
package fielderr

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// An Error is one mistake in one field.
type Error struct {
	Path string // relative to the message that was decoded; "" is the whole message
	Err  error
}

// Error prints the path and the mistake.
func (e *Error) Error() string {
	if e.Path == "" {
		return e.Err.Error()
	}
	return e.Path + ": " + e.Err.Error()
}

// Unwrap returns the mistake without its path.
func (e *Error) Unwrap() error { return e.Err }

// Errors is every mistake found in one message, in the order of the decoder.
type Errors []*Error

// Error prints one mistake a line.
func (es Errors) Error() string {
	var b strings.Builder
	for i, e := range es {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(e.Error())
	}
	return b.String()
}

// Unwrap returns the single mistakes, for errors.Is and errors.As.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

// A List collects mistakes. The zero List is empty and ready.
type List struct{ errs Errors }

// Add records err under path; nil is no mistake. When err holds field errors itself, however wrapped or joined, each is kept
// with its own path below this one.
func (l *List) Add(path string, err error) {
	if err != nil {
		l.errs = append(l.errs, flatten(path, err)...)
	}
}

// Addf records a mistake under path.
func (l *List) Addf(path, format string, args ...any) {
	l.errs = append(l.errs, &Error{path, fmt.Errorf(format, args...)})
}

// Len is the number of mistakes so far.
func (l *List) Len() int { return len(l.errs) }

// Err is nil when nothing was recorded, and else the [Errors].
func (l *List) Err() error {
	if len(l.errs) == 0 {
		return nil
	}
	return l.errs
}

// All lists the field errors inside err; an error without a path becomes one with an empty path. Nil gives nil.
func All(err error) Errors {
	if err == nil {
		return nil
	}
	return flatten("", err)
}

// typedConfig is how config/extension introduces the errors of a nested extension: `typed_config (NAME): …`.
const typedConfig = "typed_config ("

func flatten(path string, err error) Errors {
	switch e := err.(type) {
	case Errors:
		out := make(Errors, 0, len(e))
		for _, x := range e {
			out = append(out, flatten(Join(path, x.Path), x.Err)...)
		}
		return out
	case *Error:
		return flatten(Join(path, e.Path), e.Err)
	case interface{ Unwrap() []error }:
		var out Errors
		for _, x := range e.Unwrap() {
			out = append(out, flatten(path, x)...)
		}
		if len(out) > 0 {
			return out
		}
	}
	inner := errors.Unwrap(err)
	if inner == nil {
		return Errors{{path, err}}
	}
	if strings.HasPrefix(err.Error(), typedConfig) {
		return flatten(Join(path, "typed_config"), inner)
	}
	// A plain wrapper stays as it is unless field errors are inside: then its words go in front of each of them.
	if !hasPath(inner) {
		return Errors{{path, err}}
	}
	head := strings.TrimSuffix(err.Error(), inner.Error())
	out := flatten(path, inner)
	for i, x := range out {
		out[i] = &Error{x.Path, &worded{head, x.Err}}
	}
	return out
}

// hasPath says whether field errors are inside err.
func hasPath(err error) bool {
	var one *Error
	var all Errors
	return errors.As(err, &all) || errors.As(err, &one)
}

// worded puts a wrapper's words back in front of an error that was taken out of it.
type worded struct {
	head string
	err  error
}

func (w *worded) Error() string { return w.head + w.err.Error() }
func (w *worded) Unwrap() error { return w.err }

// Join puts a relative path below a prefix.
func Join(prefix, path string) string {
	switch {
	case path == "":
		return prefix
	case prefix == "" || path[0] == '[':
		return prefix + path
	}
	return prefix + "." + path
}

// Index is the path of a list's item.
func Index(field string, i int) string { return field + "[" + strconv.Itoa(i) + "]" }

// Key is the path of a map's entry.
func Key(field, key string) string { return field + "[" + strconv.Quote(key) + "]" }
