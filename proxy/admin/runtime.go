package admin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/protobuf/types/known/structpb"
)

// runtimeDump is /runtime: the values of every layer, by key.
type runtimeDump struct {
	Entries map[string]*runtimeEntry `json:"entries"`
	Layers  []string                 `json:"layers"`
}

type runtimeEntry struct {
	LayerValues []string `json:"layer_values"` // "" where a layer is silent
	FinalValue  string   `json:"final_value"`
}

// runtime shows the static layers of the bootstrap's layered_runtime.
func (s *Server) runtime(p *reply, _ *http.Request, _ url.Values) {
	layers := s.o.Bootstrap.GetLayeredRuntime().GetLayers()
	d := runtimeDump{Entries: map[string]*runtimeEntry{}, Layers: []string{}}
	for i, l := range layers {
		d.Layers = append(d.Layers, l.GetName())
		flatten("", l.GetStaticLayer(), func(key, value string) {
			e := d.Entries[key]
			if e == nil {
				e = &runtimeEntry{LayerValues: make([]string, len(layers))}
				d.Entries[key] = e
			}
			e.LayerValues[i], e.FinalValue = value, value
		})
	}
	p.value(d)
}

// flatten visits the values of a layer under their full keys ("a.b").
func flatten(prefix string, st *structpb.Struct, visit func(key, value string)) {
	for name, v := range st.GetFields() {
		key := prefix + name
		switch k := v.GetKind().(type) {
		case *structpb.Value_StructValue:
			if f := k.StructValue.GetFields(); f["numerator"] != nil || f["denominator"] != nil { // a FractionalPercent
				visit(key, fractional(k.StructValue))
				continue
			}
			flatten(key+".", k.StructValue, visit)
		case *structpb.Value_NumberValue:
			visit(key, strconv.FormatFloat(k.NumberValue, 'f', -1, 64))
		case *structpb.Value_BoolValue:
			visit(key, strconv.FormatBool(k.BoolValue))
		case *structpb.Value_StringValue:
			visit(key, k.StringValue)
		}
	}
}

// fractional is a FractionalPercent as JSON.
func fractional(st *structpb.Struct) string {
	b, err := json.Marshal(st.AsMap())
	if err != nil { // NaN or infinity
		return st.String()
	}
	return string(b)
}

// runtimeModify: there is no admin layer to change, which Envoy says so.
func (s *Server) runtimeModify(p *reply, _ *http.Request, _ url.Values) {
	p.text(http.StatusServiceUnavailable, "No admin layer specified\n")
}
