package bootstrap

import (
	"strconv"

	downstreamconnectionsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/resource_monitors/downstream_connections/v3"

	"github.com/weirproxy/weir/config/yamlproto"
)

// maxConnections reads the one resource monitor there is. Others, and actions, which need others, are refused by the support
// table.
func (d *decoder) maxConnections() (n uint64) {
	for i, m := range d.m.GetOverloadManager().GetResourceMonitors() {
		path := "overload_manager.resource_monitors[" + strconv.Itoa(i) + "]"
		inner, err := yamlproto.Unpack(m.GetTypedConfig(), nil)
		if err != nil {
			d.fail(path+".typed_config", "%v", err)
			continue
		}
		c, ok := inner.(*downstreamconnectionsv3.DownstreamConnectionsConfig)
		switch {
		case !ok: // refused already
		case n != 0:
			d.fail(path, "a second limit of connections")
		default:
			n = uint64(max(c.GetMaxActiveDownstreamConnections(), 0))
		}
	}
	return n
}
