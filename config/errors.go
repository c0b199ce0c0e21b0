package config

import (
	"strconv"
	"strings"

	"github.com/weirproxy/weir/config/fielderr"
)

// An Error is everything that is wrong with one resource.
type Error struct {
	Kind string // "listener", "route", "cluster", "endpoints"
	Name string // may be empty when that is what is wrong
	Errs fielderr.Errors
}

// Error prints one mistake a line, each with the resource and the path: `listener "in": filter_chains[2].filters[0]: …`.
func (e *Error) Error() string {
	head := e.Kind + " " + strconv.Quote(e.Name) + ": "
	var b strings.Builder
	for i, f := range e.Errs {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(head)
		b.WriteString(f.Error())
	}
	return b.String()
}

// Unwrap returns the single mistakes, for errors.Is and errors.As.
func (e *Error) Unwrap() []error { return e.Errs.Unwrap() }
