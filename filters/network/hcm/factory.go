// Package hcm is envoy.filters.network.http_connection_manager: it turns Envoy's
// message into the model of proxy/hcm, which does the work.
package hcm

import (
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/hcm"
)

// routesURL is the type of what an RDS name stands for.
var routesURL = "type.googleapis.com/" + string((&routerv3.RouteConfiguration{}).ProtoReflect().Descriptor().FullName())

// Factory is envoy.filters.network.http_connection_manager.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.http_connection_manager", parse, build, filters.Terminating())
}

func build(c *hcm.Config, bc *filters.BuildContext) (any, error) { return hcm.New(c, bc) }
