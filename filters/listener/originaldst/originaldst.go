// Package originaldst is envoy.filters.listener.original_dst: it gives a
// connection that iptables or nftables REDIRECTed its original destination back.
// That of a TPROXYed one is its local address, and needs nothing.
package originaldst

import (
	dstv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_dst/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
)

// config is the parsed configuration: there is nothing to configure.
type config struct{}

// Factory is envoy.filters.listener.original_dst.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.original_dst", parse, build)
}

func parse(*dstv3.OriginalDst, *extension.Context) (*config, error) { return &config{}, nil }

func build(*config, *filters.BuildContext) (any, error) { return filter{}, nil }

type filter struct{}

// NewInspection implements filters.ListenerFilter; it looks at no byte.
func (filter) NewInspection(c *conn.Conn) filters.Inspection {
	if s := c.Socket(); s != nil && !c.Info.Intercepted {
		if dst, ok := s.OriginalDst(); ok && dst != c.Info.Local {
			c.Info.Dest, c.Info.DestRestored = dst, true
		}
	}
	return nil
}
