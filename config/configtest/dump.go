package configtest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/weirproxy/weir/config/extension"
)

// Dump prints a model, one set field a line with its whole path. Fields with zero values are left out. The model must be a tree.
func Dump(v any) string { return strings.Join(lines(v), "\n") }

// Changes prints what of v differs from base: its lines that base does not have, and behind "-" those that only base has.
func Changes(base, v any) string {
	was, is := lines(base), lines(v)
	var out []string
	for _, s := range is {
		if !slices.Contains(was, s) {
			out = append(out, s)
		}
	}
	for _, s := range was {
		path, _, _ := strings.Cut(s, ": ")
		if !slices.ContainsFunc(is, func(o string) bool { return strings.HasPrefix(o, path+": ") }) {
			out = append(out, "- "+s)
		}
	}
	if len(out) == 0 {
		return "as the default"
	}
	return strings.Join(out, "\n")
}

func lines(v any) []string {
	var out []string
	collect(&out, "", reflect.ValueOf(v))
	return out
}

func collect(out *[]string, path string, v reflect.Value) {
	leaf := func(x any) { *out = append(*out, fmt.Sprintf("%s: %v", path, x)) }
	if v.IsValid() && v.CanInterface() {
		switch x := v.Interface().(type) {
		case *extension.Factory:
			leaf(x.Name)
			return
		case extension.Parsed:
			// A configuration is the extension's own affair; it may be any graph.
			*out = append(*out, path+".Name: "+x.Name, path+".Factory: "+x.Factory.Name)
			if text, ok := x.Config.(string); ok {
				*out = append(*out, path+".Config: "+text)
			}
			return
		case fmt.Stringer:
			if v.Kind() != reflect.Pointer || !v.IsNil() {
				leaf(x)
				return
			}
		}
	}
	switch v.Kind() {
	case reflect.Invalid:
	case reflect.Pointer, reflect.Interface:
		before := len(*out)
		collect(out, path, v.Elem())
		if len(*out) == before && !v.IsNil() {
			leaf("set")
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if !f.IsExported() || f.Name == "Selector" || v.Field(i).IsZero() {
				continue
			}
			collect(out, strings.TrimPrefix(path+"."+f.Name, "."), v.Field(i))
		}
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			item := fmt.Sprintf("%s[%d]", path, i)
			before := len(*out)
			collect(out, item, v.Index(i))
			if len(*out) == before {
				*out = append(*out, item+": zero")
			}
		}
	default:
		leaf(v)
	}
}
