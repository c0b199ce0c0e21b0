package sniff

import "encoding/binary"

// What PostgreSQL clients begin with (PostgreSQL: Message Formats), by the names that filter chains match as application protocols.
const (
	PostgresStartup = "postgres"             // StartupMessage: the connection stays as it is
	PostgresSSL     = "postgres_ssl_request" // SSLRequest: the server answers S or N, and TLS begins after S
	PostgresGSS     = "postgres_gss_request" // GSSENCRequest: the same with G
	PostgresCancel  = "postgres_cancel"      // CancelRequest: ends a query of another connection
)

// PostgresRequestLen is the length of SSLRequest and GSSENCRequest in bytes.
const PostgresRequestLen = 8

// maxPostgresStartup is the longest StartupMessage that servers take, in bytes (PostgreSQL: MAX_STARTUP_PACKET_LENGTH).
const maxPostgresStartup = 10000

// Codes that stand where a StartupMessage has its protocol version.
const (
	postgresCancel = 1234<<16 | 5678
	postgresSSL    = 1234<<16 | 5679
	postgresGSS    = 1234<<16 | 5680
)

// Postgres recognises what a PostgreSQL client sends first, by its first eight bytes: a length and a code. Nothing else
// that is recognised here begins with two zero bytes.
func Postgres(b []byte) (st Status, kind string) {
	for _, c := range b[:min(len(b), 2)] {
		if c != 0 {
			return NoMatch, ""
		}
	}
	if len(b) < 4 {
		return More, ""
	}
	size := binary.BigEndian.Uint32(b)
	if size < 8 || size > maxPostgresStartup {
		return NoMatch, ""
	}
	if len(b) < 8 {
		if !postgresCodeBegins(b[4:]) {
			return NoMatch, ""
		}
		return More, ""
	}
	switch code := binary.BigEndian.Uint32(b[4:]); {
	case code == postgresSSL && size == PostgresRequestLen:
		return Match, PostgresSSL
	case code == postgresGSS && size == PostgresRequestLen:
		return Match, PostgresGSS
	case code == postgresCancel && size >= 16 && size <= 12+256: // a key of 4 bytes, of up to 256 since protocol 3.2
		return Match, PostgresCancel
	case code>>16 == 3: // any minor version: servers negotiate it
		return Match, PostgresStartup
	}
	return NoMatch, ""
}

// postgresCodeBegins tells whether less than four bytes may begin a code.
func postgresCodeBegins(b []byte) bool {
	for _, known := range [...]string{"\x04\xd2\x16", "\x00\x03"} {
		n := min(len(b), len(known))
		if string(b[:n]) == known[:n] {
			return true
		}
	}
	return false
}
