package listener

import (
	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/sniff"
)

// postgresTransport is the transport protocol of PostgreSQL's connections (Envoy: postgres_inspector).
const postgresTransport info.Transport = "postgres"

// The answers of a server to a request for encryption (PostgreSQL: SSL Session Encryption).
const (
	postgresYes = 'S'
	postgresNo  = 'N'
)

// postgres looks for PostgreSQL, where the listener asks for it, before the listener filters that look at bytes; false says
// that the connection is refused.
func (p *peeker) postgres() bool {
	policy := p.s.g.m.Sniffing.Postgres
	if policy == config.PostgresOff {
		return true
	}
	in := &postgres{p: p, accept: policy == config.PostgresAccept}
	return p.run(in)
}

// A postgres is the look at one connection's first bytes. When it accepts for the server, it answers requests for encryption
// itself, so that the ClientHello comes and a filter chain can be chosen by its server name.
type postgres struct {
	p      *peeker
	accept bool
	denied bool // a GSSENCRequest was: SSLRequest may follow
}

// Inspect implements filters.Inspection.
func (in *postgres) Inspect(peek []byte, c *info.Conn) (filters.Need, int, error) {
	if len(peek) == 0 && in.denied {
		return sniff.PostgresRequestLen, 0, nil
	}
	st, kind := sniff.Postgres(peek)
	switch st {
	case sniff.More:
		return sniff.PostgresRequestLen, 0, nil
	case sniff.Match:
	default:
		return filters.Done, 0, nil
	}
	// What follows a request before its answer would be taken for what is encrypted: servers refuse it, and so it is left to them.
	alone := len(peek) == sniff.PostgresRequestLen
	s := in.p.s
	switch {
	case in.accept && alone && kind == sniff.PostgresGSS && !in.denied:
		if _, err := s.Write([]byte{postgresNo}); err != nil {
			return filters.Close, 0, err
		}
		in.denied = true
		s.In.Consume(sniff.PostgresRequestLen)
		return sniff.PostgresRequestLen, 0, nil
	case in.accept && alone && kind == sniff.PostgresSSL:
		in.p.l.stats.PostgresAccepted.Inc()
		s.Preamble = &conn.Preamble{Send: append([]byte(nil), peek...), Want: postgresYes, Refused: "postgres_ssl_refused"}
		if _, err := s.Write([]byte{postgresYes}); err != nil {
			return filters.Close, 0, err
		}
		return filters.Done, sniff.PostgresRequestLen, nil
	}
	c.Transport = postgresTransport
	c.ALPN = [][]byte{[]byte(kind)}
	in.p.found = true
	return filters.Done, 0, nil
}
