package runtime

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	runtimev3 "github.com/envoyproxy/go-control-plane/envoy/service/runtime/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/fielderr"
)

// TypeURL is the type of the layers that a control plane gives.
const TypeURL = "type.googleapis.com/envoy.service.runtime.v3.Runtime"

// A Layer is a table of values by flattened key ("a.b"). It is never changed.
type Layer struct {
	Name   string
	Values map[string]*Value
}

// Decode takes a layer of a control plane.
func Decode(m *runtimev3.Runtime) (*Layer, error) {
	var l fielderr.List
	values, err := Flatten(m.GetLayer())
	l.Add("layer", err)
	return &Layer{Name: m.GetName(), Values: values}, l.Err()
}

// The limits of a Struct: how deep it may be and how long a key.
const (
	maxDepth = 64
	maxKey   = 1 << 10
)

// Flatten gives the values of a Struct by dotted key (Envoy: "the proto Struct is flattened"). A FractionalPercent, which has a
// numerator or a denominator, is a value; so is an empty Struct, which says nothing. Errors have the path in the Struct.
func Flatten(s *structpb.Struct) (map[string]*Value, error) {
	f := flattener{out: make(map[string]*Value, len(s.GetFields()))}
	f.walk("", "", s, 0)
	return f.out, f.errs.Err()
}

type flattener struct {
	out  map[string]*Value
	errs fielderr.List
}

func (f *flattener) walk(prefix, path string, s *structpb.Struct, depth int) {
	if depth > maxDepth {
		f.errs.Addf(path, "more than %d levels", maxDepth)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(s.GetFields())) {
		v, key, at := s.GetFields()[name], name, path+"["+strconv.Quote(name)+"]"
		if depth > 0 {
			key = prefix + "." + name
		}
		if len(key) > maxKey {
			f.errs.Addf(at, "the key has more than %d bytes", maxKey)
			continue
		}
		if inner := v.GetStructValue(); inner != nil && !isValue(inner) {
			f.walk(key, at, inner, depth+1)
			continue
		}
		value, err := newValue(v)
		if err != nil {
			f.errs.Add(at, fmt.Errorf("runtime key %q: %w", key, err))
			continue
		}
		f.out[key] = value
	}
}

func isValue(s *structpb.Struct) bool {
	return len(s.GetFields()) == 0 || s.GetFields()["numerator"] != nil || s.GetFields()["denominator"] != nil
}

// A Snapshot is all layers at one moment. It is never changed.
type Snapshot struct {
	Layers []*Layer // in the order of the bootstrap: a later one overrides an earlier one
	Final  map[string]*Value
}

// Merge puts layers over each other. Nil layers are not there.
func Merge(layers []*Layer) *Snapshot {
	s := &Snapshot{Final: map[string]*Value{}}
	for _, l := range layers {
		if l == nil {
			continue
		}
		s.Layers = append(s.Layers, l)
		maps.Copy(s.Final, l.Values)
	}
	return s
}

// Path is where a flattened key stands in a Struct: `["a"]["b"]`. It is "" for a key that is not there.
func Path(s *structpb.Struct, key string) string {
	for name, v := range s.GetFields() {
		if name == key {
			return "[" + strconv.Quote(name) + "]"
		}
		if rest, ok := strings.CutPrefix(key, name+"."); ok && v.GetStructValue() != nil {
			if p := Path(v.GetStructValue(), rest); p != "" {
				return "[" + strconv.Quote(name) + "]" + p
			}
		}
	}
	return ""
}
