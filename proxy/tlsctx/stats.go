package tlsctx

import (
	"crypto/tls"
	"errors"
	"sync/atomic"

	"github.com/weirproxy/weir/proxy/stats"
)

// Stats count handshakes, under listener.<address>.ssl. and cluster.<name>.ssl. (Envoy: TLS statistics).
type Stats struct {
	Handshake          *stats.Counter `stat:"handshake"`
	Error              *stats.Counter `stat:"connection_error"`
	Reused             *stats.Counter `stat:"session_reused"`
	NoCertificate      *stats.Counter `stat:"no_certificate"`
	FailNoCert         *stats.Counter `stat:"fail_verify_no_cert"`
	FailVerify         *stats.Counter `stat:"fail_verify_error"`
	FailSAN            *stats.Counter `stat:"fail_verify_san"`
	FailHash           *stats.Counter `stat:"fail_verify_cert_hash"`
	StapleFailed       *stats.Counter `stat:"ocsp_staple_failed"`
	StapleOmitted      *stats.Counter `stat:"ocsp_staple_omitted"`
	StapleResponses    *stats.Counter `stat:"ocsp_staple_responses"`
	StapleRequests     *stats.Counter `stat:"ocsp_staple_requests"`
	KeyUsage           *stats.Counter `stat:"was_key_usage_invalid"`
	ContextUpdate      *stats.Counter `stat:"context_updated"`    // Weir: a new secret was taken
	ContextUpdateError *stats.Counter `stat:"context_update_bad"` // Weir: one could not be, and the last is used
}

// FactoryStats count what contexts are made of, under listener.<address>.server_ssl_socket_factory. and
// cluster.<name>.client_ssl_socket_factory. (Envoy: TLS statistics).
type FactoryStats struct {
	BySDS         *stats.Counter `stat:"ssl_context_update_by_sds"`            // secrets that came
	NoSecret      *stats.Counter `stat:"downstream_context_secrets_not_ready"` // handshakes that came before them
	NoSecretThere *stats.Counter `stat:"upstream_context_secrets_not_ready"`   // … with upstream hosts
}

// A Tally is what the handshakes of one scope are counted in: Stats, and the counters that Envoy names by what was negotiated, which
// are made when they are first needed.
type Tally struct {
	Stats   *Stats
	Factory *FactoryStats

	// set in NewTally, never changed
	scope      *stats.Scope
	downstream bool

	versions [2]atomic.Pointer[stats.Counter]
	ciphers  [len(suites)]atomic.Pointer[stats.Counter]
	curves   [len(curves)]atomic.Pointer[stats.Counter]
}

// NewTally makes the counters below the scope of a listener or a cluster; downstream is the former.
func NewTally(scope *stats.Scope, downstream bool) *Tally {
	factory := "client_ssl_socket_factory"
	if downstream {
		factory = "server_ssl_socket_factory"
	}
	ssl := scope.Scope("ssl")
	return &Tally{Stats: stats.Fill[Stats](ssl), Factory: stats.Fill[FactoryStats](scope.Scope(factory)), scope: ssl, downstream: downstream}
}

// done counts a handshake that came to its end.
func (t *Tally) done(cs *tls.ConnectionState) {
	t.Stats.Handshake.Inc()
	if cs.DidResume {
		t.Stats.Reused.Inc()
	}
	if len(cs.PeerCertificates) == 0 {
		t.Stats.NoCertificate.Inc()
	}
	if v := int(cs.Version) - tls.VersionTLS12; v >= 0 && v < len(t.versions) {
		t.count(&t.versions[v], "versions.", versionName(cs.Version))
	}
	if i := suiteIndex(cs.CipherSuite); i >= 0 {
		t.count(&t.ciphers[i], "ciphers.", suites[i].name)
	}
	if i := curveIndex(cs.CurveID); i >= 0 {
		t.count(&t.curves[i], "curves.", curves[i].name)
	}
}

func (t *Tally) count(p *atomic.Pointer[stats.Counter], group, name string) {
	c := p.Load()
	if c == nil {
		c = t.scope.Counter(group + name)
		p.Store(c)
	}
	c.Inc()
}

// failed counts one that did not.
func (t *Tally) failed(err error) {
	var v *VerifyError
	switch {
	case errors.As(err, &v):
		t.verifyFailed(v.Why)
	case errors.Is(err, errNotReady) && t.downstream:
		t.Factory.NoSecret.Inc()
	case errors.Is(err, errNotReady):
		t.Factory.NoSecretThere.Inc()
	}
	t.Stats.Error.Inc()
}

func (t *Tally) verifyFailed(why Why) {
	switch why {
	case NoCertificate:
		t.Stats.FailNoCert.Inc()
	case Untrusted:
		t.Stats.FailVerify.Inc()
	case WrongName:
		t.Stats.FailSAN.Inc()
	case WrongHash:
		t.Stats.FailHash.Inc()
	case WrongUsage:
		t.Stats.KeyUsage.Inc()
	}
}
