package tlsctx

import (
	"crypto/tls"
	"time"

	"github.com/weirproxy/weir/config/secret"
)

// A Ref is a secret of a TLS context: one that stands in it, or the key of one that comes by discovery.
type Ref struct {
	Key    string         // of extension.Context.RequireFrom; "" when the secret stands in the context
	Name   string         // of the secret that Key is of
	Static bool           // that is one of the bootstrap
	Inline *secret.Secret // nil when it does not
	Source secret.Bytes   // of one that stands in the context and names files: its message, to be decoded again when they change
}

// A Resolver gives the live secret that a Ref stands for, which may be empty yet.
type Resolver func(*Ref) *secret.Live

// Common is what both sides of a TLS context have (Envoy: CommonTlsContext). It is immutable.
type Common struct {
	Certificates []Ref
	Validation   *Ref               // nil: whom to trust is not said, or by Default alone
	Default      *secret.Validation // of a combined context, which Validation makes whole
	ALPN         []string
	Params       Params
}

// Params are tls_params.
type Params struct {
	Min, Max uint16        // of crypto/tls
	Ciphers  []uint16      // up to TLS 1.2; nil: those Go thinks safe
	Curves   []tls.CurveID // nil: Go's
}

// A ServerConfig is the compiled DownstreamTlsContext. It is immutable.
type ServerConfig struct {
	Common
	RequireCertificate bool // require_client_certificate
	RequireSNI         bool
	FullScan           bool // full_scan_certs_on_sni_mismatch
	Staple             Staple
	TicketKeys         *Ref // nil: keys of our own, which Go changes daily
	NoTickets          bool // disable_stateless_session_resumption
	SessionTimeout     time.Duration
}

// Staple is ocsp_staple_policy.
type Staple uint8

// The policies.
const (
	Lenient  Staple = iota // an expired response is left out
	Strict                 // a certificate with an expired response is not used
	Required               // nor is one without a response
)

// A ClientConfig is the compiled UpstreamTlsContext. It is immutable.
type ClientConfig struct {
	Common
	SNI         string
	AutoHostSNI bool
	AutoSANs    bool // auto_sni_san_validation
	NoResume    bool // max_session_keys: 0
	MaxSessions int  // how many sessions are kept at least
}
