// Package originalsrc is envoy.filters.listener.original_src: connections to
// upstream hosts are made from the client's own address.
package originalsrc

import (
	srcv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/original_src/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
)

// config is the parsed configuration.
type config struct {
	port bool   // bind_port
	mark uint32 // of the upstream connection, so that its replies can be routed back here; 0 none
}

// Factory is envoy.filters.listener.original_src.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.original_src", parse, build)
}

func parse(m *srcv3.OriginalSrc, _ *extension.Context) (*config, error) {
	return &config{m.GetBindPort(), m.GetMark()}, nil
}

func build(c *config, _ *filters.BuildContext) (any, error) { return filter{c}, nil }

type filter struct{ c *config }

// NewInspection implements filters.ListenerFilter; it looks at no byte. A client
// without an IP address has none to lend.
func (f filter) NewInspection(c *conn.Conn) filters.Inspection {
	if i := &c.Info; i.Source.IsValid() {
		i.Spoof, i.SpoofPort, i.SpoofMark = true, f.c.port, f.c.mark
	}
	return nil
}
