package bootstrap

import (
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"

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
