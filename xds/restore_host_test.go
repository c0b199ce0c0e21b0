package xds

import (
	"testing"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds/lastgood"
	"google.golang.org/protobuf/types/known/anypb"
)

// A virtual host comes back under the name it was discovered by, which is not its own.
func TestRestoredVirtualHost(t *testing.T) {
	d := Decode(func(string, *anypb.Any) (*config.Resource, error) { return &config.Resource{Name: "one"}, nil })
	got := d.restore(func() (*lastgood.State, error) {
		return &lastgood.State{Types: []lastgood.Type{
			{TypeURL: VirtualHostType, Resources: []lastgood.Resource{{Name: "r/one", Any: &anypb.Any{TypeUrl: VirtualHostType}}}},
			{TypeURL: RouteType, Resources: []lastgood.Resource{{Name: "r", Any: &anypb.Any{TypeUrl: RouteType}}}},
		}}, nil
	})
	if len(got.Resources) != 1 || got.Resources[0].Name != "r/one" || len(got.Refused) != 1 {
		t.Errorf("%+v", got)
	}
}
