// Package httpinspector is envoy.filters.listener.http_inspector: it recognises
// the HTTP/2 preface and the request line of HTTP/1, and fills in "h2c",
// "http/1.1" or "http/1.0" as the connection's application protocol.
package httpinspector

import (
	"errors"

	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/http_inspector/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/sniff"
	"github.com/weirproxy/weir/proxy/stats"
)

// config is the parsed configuration: there is nothing to configure.
type config struct{}

// Factory is envoy.filters.listener.http_inspector.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.http_inspector", parse, build)
}

func parse(*httpv3.HttpInspector, *extension.Context) (*config, error) { return &config{}, nil }

// Stats are the filter's statistics, under http_inspector. and by Envoy's names.
type Stats struct {
	HTTP10Found  *stats.Counter `stat:"http10_found"`
	HTTP11Found  *stats.Counter `stat:"http11_found"`
	HTTP2Found   *stats.Counter `stat:"http2_found"`
	HTTPNotFound *stats.Counter `stat:"http_not_found"`
	ReadError    *stats.Counter `stat:"read_error"`
}

type filter struct{ st *Stats }

func build(_ *config, bc *filters.BuildContext) (any, error) {
	return &filter{stats.Fill[Stats](bc.Stats.Scope("http_inspector"))}, nil
}

// OnlyLooks implements filters.Looker.
func (f *filter) OnlyLooks() {}

// NewInspection implements filters.ListenerFilter: TLS is not looked into.
func (f *filter) NewInspection(c *conn.Conn) filters.Inspection {
	if c.Info.Transport == info.TLS {
		return nil
	}
	return &inspection{f: f}
}

// An inspection is the filter at work on one connection.
type inspection struct {
	f    *filter
	http sniff.HTTP
}

// Inspect implements filters.Inspection.
func (in *inspection) Inspect(peek []byte, c *info.Conn) (filters.Need, int, error) {
	st := in.f.st
	switch status, proto := in.http.Feed(peek); status {
	case sniff.More:
		return filters.Need(in.http.Need()), 0, nil
	case sniff.Match:
		switch proto {
		case sniff.HTTP10:
			st.HTTP10Found.Inc()
		case sniff.HTTP11:
			st.HTTP11Found.Inc()
		case sniff.H2C:
			st.HTTP2Found.Inc()
		}
		c.ALPN = [][]byte{[]byte(proto)}
	case sniff.Bad:
		reason := in.http.Err()
		if reason == sniff.ReasonLineTooLarge {
			st.ReadError.Inc()
			return filters.Close, 0, errors.New(reason)
		}
		st.HTTPNotFound.Inc()
		c.SniffNote = reason
	default:
		st.HTTPNotFound.Inc()
	}
	return filters.Done, 0, nil
}

// Closed counts a client that finished, or was waited for too long, before its
// protocol was known.
func (in *inspection) Closed(*info.Conn, error) { in.f.st.HTTPNotFound.Inc() }
