// Package tlsinspector is envoy.filters.listener.tls_inspector: it recognises a
// TLS ClientHello, without decrypting anything, and fills in the connection's
// transport protocol, server name and application protocols.
package tlsinspector

import (
	"errors"
	"fmt"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/listener/tls_inspector/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/sniff"
	"github.com/weirproxy/weir/proxy/stats"
)

// config is the parsed configuration.
type config struct {
	limit      int  // max_client_hello_size, in bytes
	closeOnBad bool // close_connection_on_client_hello_parsing_errors
	ja3, ja4   bool // enable_ja3_fingerprinting, enable_ja4_fingerprinting
}

// Factory is envoy.filters.listener.tls_inspector.
func Factory() *extension.Factory {
	return filters.NewListener("envoy.filters.listener.tls_inspector", parse, build)
}

func parse(m *tlsv3.TlsInspector, _ *extension.Context) (*config, error) {
	var l fielderr.List
	limit := fielderr.Uint32(m.GetMaxClientHelloSize(), sniff.DefaultHelloLimit)
	if limit > sniff.MaxHelloLimit {
		l.Addf("max_client_hello_size", "%d is more than %d", limit, sniff.MaxHelloLimit)
	}
	return &config{
		limit: int(limit), closeOnBad: m.GetCloseConnectionOnClientHelloParsingErrors(),
		ja3: m.GetEnableJa3Fingerprinting().GetValue(), ja4: m.GetEnableJa4Fingerprinting().GetValue(),
	}, l.Err()
}

// Stats are the filter's statistics, under tls_inspector. and by Envoy's names.
type Stats struct {
	TLSFound         *stats.Counter   `stat:"tls_found"`
	TLSNotFound      *stats.Counter   `stat:"tls_not_found"`
	ALPNFound        *stats.Counter   `stat:"alpn_found"`
	ALPNNotFound     *stats.Counter   `stat:"alpn_not_found"`
	SNIFound         *stats.Counter   `stat:"sni_found"`
	SNINotFound      *stats.Counter   `stat:"sni_not_found"`
	HelloTooLarge    *stats.Counter   `stat:"client_hello_too_large"`
	ConnectionClosed *stats.Counter   `stat:"connection_closed"`
	ReadError        *stats.Counter   `stat:"read_error"`
	ECHFound         *stats.Counter   `stat:"ech_found"` // ours
	BytesProcessed   *stats.Histogram `stat:"bytes_processed"`
}

type filter struct {
	c  *config
	st *Stats
}

func build(c *config, bc *filters.BuildContext) (any, error) {
	return &filter{c, stats.Fill[Stats](bc.Stats.Scope("tls_inspector"))}, nil
}

// OnlyLooks implements filters.Looker.
func (f *filter) OnlyLooks() {}

// NewInspection implements filters.ListenerFilter.
func (f *filter) NewInspection(*conn.Conn) filters.Inspection {
	in := &inspection{f: f}
	in.tls.SetHelloLimit(f.c.limit)
	return in
}

// An inspection is the filter at work on one connection.
type inspection struct {
	f   *filter
	tls sniff.TLS
}

// Inspect implements filters.Inspection.
func (in *inspection) Inspect(peek []byte, c *info.Conn) (filters.Need, int, error) {
	st := in.f.st
	switch in.tls.Feed(peek) {
	case sniff.More:
		return filters.Need(in.tls.Need()), 0, nil
	case sniff.Match:
		in.found(c)
	case sniff.Bad:
		reason := in.tls.Err()
		if reason == sniff.ReasonHelloTooLarge {
			st.HelloTooLarge.Inc()
			return filters.Close, 0, errors.New(reason)
		}
		st.TLSNotFound.Inc()
		if in.f.c.closeOnBad {
			return filters.Close, 0, fmt.Errorf("client hello: %s", reason)
		}
		c.SniffNote = reason
	default:
		st.TLSNotFound.Inc()
	}
	st.BytesProcessed.Record(uint64(in.tls.Consumed()))
	return filters.Done, 0, nil
}

func (in *inspection) found(c *info.Conn) {
	st := in.f.st
	st.TLSFound.Inc()
	c.Transport = info.TLS
	if c.ServerName = in.tls.AppendServerName(nil); len(c.ServerName) > 0 {
		st.SNIFound.Inc()
	} else {
		st.SNINotFound.Inc()
	}
	if c.ALPN = own(in.tls.AppendALPN(nil)); len(c.ALPN) > 0 {
		st.ALPNFound.Inc()
	} else {
		st.ALPNNotFound.Inc()
	}
	if c.ECH = in.tls.ECH(); c.ECH {
		st.ECHFound.Inc()
	}
	if in.f.c.ja3 {
		c.JA3 = string(in.tls.AppendJA3(nil))
	}
	if in.f.c.ja4 {
		c.JA4 = string(in.tls.AppendJA4(nil))
	}
}

// own copies the names out of the peeked bytes, which will move.
func own(names [][]byte) [][]byte {
	n := 0
	for _, s := range names {
		n += len(s)
	}
	all := make([]byte, 0, n)
	for i, s := range names {
		all = append(all, s...)
		names[i] = all[len(all)-len(s) : len(all) : len(all)]
	}
	return names
}

// Closed counts a client that finished, or was waited for too long, before its
// hello was whole.
func (in *inspection) Closed(*info.Conn, error) { in.f.st.ConnectionClosed.Inc() }
