package bootstrap

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/yamlproto"
)

func (d *decoder) static() Static {
	sr := d.m.GetStaticResources()
	return Static{
		Listeners: pack(d, "listeners", sr.GetListeners()),
		Clusters:  pack(d, "clusters", sr.GetClusters()),
		Secrets:   pack(d, "secrets", sr.GetSecrets()),
	}
}

// named is a resource of static_resources.
type named interface {
	proto.Message
	GetName() string
}

// pack turns one list into Anys, as they would come from a control plane. A listener may have no name; it gets its place.
func pack[M named](d *decoder, field string, ms []M) []yamlproto.Resource {
	out := make([]yamlproto.Resource, 0, len(ms))
	first := make(map[string]int, len(ms))
	for i, m := range ms {
		path := "static_resources." + field + "[" + strconv.Itoa(i) + "]"
		name := m.GetName()
		if name != "" {
			if at, ok := first[name]; ok {
				p, _ := d.x.At("static_resources." + field + "[" + strconv.Itoa(at) + "]")
				d.fail(path, "%s %q is defined twice, first at %v", strings.TrimSuffix(field, "s"), name, p)
			} else {
				first[name] = i
			}
		}
		a := &anypb.Any{}
		if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
			d.fail(path, "pack: %v", err)
			continue
		}
		out = append(out, yamlproto.Resource{Name: name, Any: a, Index: d.x.Sub(path)})
	}
	return out
}

// runtime flattens the static layers. Keys of Envoy's own implementation have no effect and are kept for display; any other
// would change what the configuration says, and nothing here reads runtime values, so it is an error.
func (d *decoder) runtime() map[string]*structpb.Value {
	var out map[string]*structpb.Value
	for i, l := range d.m.GetLayeredRuntime().GetLayers() {
		path := "layered_runtime.layers[" + strconv.Itoa(i) + "].static_layer"
		flatten("", l.GetStaticLayer(), func(key string, v *structpb.Value) {
			if out == nil {
				out = make(map[string]*structpb.Value)
			}
			out[key] = v
			for _, p := range []string{"envoy.reloadable_features.", "envoy.restart_features.", "re2."} {
				if strings.HasPrefix(key, p) {
					return
				}
			}
			d.fail(path+runtimePath(l.GetStaticLayer(), key), "runtime key %q is read by nothing, set the value where it is used", key)
		})
	}
	return out
}

// flatten visits the values of a layer by dotted key (Envoy: runtime configuration, "the proto Struct is flattened"). A
// FractionalPercent, which has a numerator, is a value.
func flatten(prefix string, s *structpb.Struct, visit func(string, *structpb.Value)) {
	for _, k := range slices.Sorted(maps.Keys(s.GetFields())) {
		v, key := s.GetFields()[k], k
		if prefix != "" {
			key = prefix + "." + k
		}
		inner := v.GetStructValue()
		if inner == nil || inner.GetFields()["numerator"] != nil || inner.GetFields()["denominator"] != nil {
			visit(key, v)
			continue
		}
		flatten(key, inner, visit)
	}
}

// runtimePath is the path of a flattened key below its layer.
func runtimePath(s *structpb.Struct, key string) string {
	for k, v := range s.GetFields() {
		if k == key {
			return "[" + strconv.Quote(k) + "]"
		}
		if rest, ok := strings.CutPrefix(key, k+"."); ok && v.GetStructValue() != nil {
			if p := runtimePath(v.GetStructValue(), rest); p != "" {
				return "[" + strconv.Quote(k) + "]" + p
			}
		}
	}
	return ""
}
