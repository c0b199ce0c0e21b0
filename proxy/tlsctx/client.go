package tlsctx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
)

// A Client begins TLS to the hosts of one cluster.
type Client struct {
	// set in NewClient, never changed
	cfg   *ClientConfig
	parts *parts
	tally *Tally

	made atomic.Pointer[clientContext]
	mu   sync.Mutex // one is made at a time
}

// A clientContext is what was made of one state of the secrets. It is immutable but for the sessions.
type clientContext struct {
	from     []*secret.Secret
	tls      *tls.Config
	verify   *Verifier
	local    *info.Certificate
	sessions tls.ClientSessionCache // nil when none is resumed
}

// A Target is the host that TLS begins to, and what a request wants of it besides the context.
type Target struct {
	Address  string              // of the host: whose sessions are resumed
	Hostname string              // its name, for auto_host_sni; "" when it has none
	SNI      string              // instead of the configured one (auto_sni); "" leaves that
	SANs     []secret.SANMatcher // one of them must match, besides the configured ones (auto_san_validation); nil is none
	ALPN     []string            // instead of the configured ones, in order of preference; nil leaves those
	Fallback []string            // ALPN, when none is configured
}

// A State is what a handshake with an upstream host came to.
type State struct {
	Version, Cipher, ALPN, SNI string
	Resumed                    bool
	Peer, Local                *info.Certificate // nil without
}

// NewClient makes a Client of secrets that may be missing yet: handshakes fail until they are there.
func NewClient(cfg *ClientConfig, r Resolver, t *Tally) (*Client, error) {
	c := &Client{cfg: cfg, tally: t}
	c.parts = newParts(&cfg.Common, nil, r)
	if _, err := c.context(); err != nil && !errors.Is(err, errNotReady) {
		return nil, err
	}
	return c, nil
}

// SNI is the server name that is sent to a host; "" sends none.
func (c *Client) SNI(h *Target) string {
	switch {
	case h.SNI != "":
		return h.SNI
	case c.cfg.AutoHostSNI && h.Hostname != "":
		return h.Hostname
	}
	return c.cfg.SNI
}

// Handshake completes the handshake over a connection until the deadline and gives the decrypted side. When it fails the connection is
// the caller's to close.
func (c *Client) Handshake(under netio.Conn, deadline time.Time, h *Target) (netio.Conn, *State, error) {
	conn, st, err := c.handshake(under, deadline, h)
	if err != nil {
		c.tally.failed(err)
		return nil, nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return conn, st, nil
}

func (c *Client) handshake(under netio.Conn, deadline time.Time, h *Target) (netio.Conn, *State, error) {
	ctx, err := c.context()
	if err != nil {
		return nil, nil, err
	}
	st := &State{SNI: c.SNI(h)}
	var names []secret.SANMatcher
	if c.cfg.AutoSANs && st.SNI != "" {
		names = []secret.SANMatcher{secret.ExactDNS(st.SNI)}
	}
	cfg := ctx.tls.Clone()
	cfg.ServerName = serverName(st.SNI)
	if ctx.sessions != nil {
		cfg.ClientSessionCache = &hostSessions{ctx.sessions, h.Address + "|" + st.SNI}
	}
	switch {
	case h.ALPN != nil:
		cfg.NextProtos = h.ALPN
	case len(cfg.NextProtos) == 0:
		cfg.NextProtos = h.Fallback
	}
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if err := keyUsage(&cs); err != nil {
			return err
		}
		if _, err := ctx.verify.Verify(cs.PeerCertificates, time.Now(), names); err != nil {
			return err
		}
		if len(h.SANs) > 0 && !matchSAN(cs.PeerCertificates[0], h.SANs) {
			return refused(WrongName, "no subject alternative name of %q is that of the request", cs.PeerCertificates[0].Subject)
		}
		return nil
	}
	presented := false
	if ctx.local != nil {
		crt := cfg.Certificates[0]
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			// Also when the server names other authorities, as Envoy does: the server judges.
			presented = true
			return &crt, nil
		}
	}
	w := &wire{c: under}
	t := tls.Client(w, cfg)
	if err := t.SetDeadline(deadline); err != nil {
		return nil, nil, err
	}
	if err := t.Handshake(); err != nil {
		return nil, nil, err
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return nil, nil, err
	}
	cs := t.ConnectionState()
	c.tally.done(&cs)
	st.Version, st.Cipher, st.ALPN, st.Resumed = versionName(cs.Version), suiteName(cs.CipherSuite), cs.NegotiatedProtocol, cs.DidResume
	st.Peer = Describe(cs.PeerCertificates)
	if presented || cs.DidResume {
		st.Local = ctx.local
	}
	return newConn(under, t, w), st, nil
}

// serverName is what of a name is sent: an IP address is not (RFC 6066 §3).
func serverName(sni string) string {
	if _, err := netip.ParseAddr(sni); err == nil {
		return ""
	}
	return sni
}

// context gives the context of the secrets as they are.
func (c *Client) context() (*clientContext, error) {
	m := c.made.Load()
	if m != nil && c.parts.same(m.from) {
		return m, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m = c.made.Load(); m != nil && c.parts.same(m.from) {
		return m, nil
	}
	from := c.parts.load()
	next, err := c.make(from)
	switch {
	case err == nil && m != nil:
		c.tally.Stats.ContextUpdate.Inc()
	case err != nil && m != nil:
		c.tally.Stats.ContextUpdateError.Inc()
		own := *m
		own.from = from
		next = &own
	case err != nil:
		return nil, err
	}
	c.made.Store(next)
	return next, nil
}

func (c *Client) make(from []*secret.Secret) (*clientContext, error) {
	g, err := c.parts.group(from)
	if err != nil {
		return nil, err
	}
	v, err := NewVerifier(g.validation, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return nil, err
	}
	m := &clientContext{from: from, verify: v, tls: c.cfg.base()}
	// It is VerifyConnection that verifies, by the validation context and for resumed sessions too.
	m.tls.InsecureSkipVerify = true
	if len(g.certificates) > 0 {
		crt := newCert(g.certificates[0])
		m.local = crt.about
		m.tls.Certificates = []tls.Certificate{crt.tls}
	}
	if !c.cfg.NoResume {
		m.sessions = tls.NewLRUClientSessionCache(max(c.cfg.MaxSessions, minSessions))
	}
	return m, nil
}

// minSessions is how many sessions a cluster keeps at least: one for each host and name, where Envoy keeps max_session_keys for all
// hosts together, by default one.
const minSessions = 256

// hostSessions are the sessions with one host under one name.
type hostSessions struct {
	all tls.ClientSessionCache
	key string
}

// Get implements tls.ClientSessionCache.
func (s *hostSessions) Get(string) (*tls.ClientSessionState, bool) { return s.all.Get(s.key) }

// Put implements tls.ClientSessionCache.
func (s *hostSessions) Put(_ string, st *tls.ClientSessionState) { s.all.Put(s.key, st) }
