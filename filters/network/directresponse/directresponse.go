// Package directresponse is envoy.filters.network.direct_response: it answers every
// connection with the same bytes and closes it.
package directresponse

import (
	"fmt"
	"time"

	directv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/direct_response/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
)

const (
	// maxResponse is the longest response, in bytes.
	maxResponse = 1 << 20
	// linger is how long a client may go on sending after its response, and
	// writeTimeout how long it may take to read it.
	linger       = time.Second
	writeTimeout = 30 * time.Second
)

// Factory is envoy.filters.network.direct_response.
func Factory() *extension.Factory {
	return filters.NewNetwork("envoy.filters.network.direct_response", parse, build, filters.Terminating())
}

// A Config is the parsed configuration. It is immutable.
type Config struct{ response []byte }

func parse(m *directv3.Config, _ *extension.Context) (*Config, error) {
	c := new(Config)
	if m.GetResponse() == nil {
		return c, nil // Envoy: the connection is only closed
	}
	var l fielderr.List
	var err error
	c.response, err = core.ReadData(m.GetResponse(), maxResponse, "")
	l.Add("response", err)
	return c, l.Err()
}

func build(c *Config, _ *filters.BuildContext) (any, error) { return filter{c.response}, nil }

type filter struct{ response []byte }

// ServeConn implements filters.TerminalFilter.
func (f filter) ServeConn(c *conn.Conn) error {
	c.Info.Details = "direct_response"
	if len(f.response) == 0 {
		return nil
	}
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	n, err := c.Write(f.response)
	c.Info.BytesSent += uint64(n)
	if err != nil {
		c.Info.Flags |= info.DownstreamConnectionTermination
		return fmt.Errorf("write the response: %w", err)
	}
	c.Linger(linger)
	return nil
}
