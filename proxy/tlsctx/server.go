// Package tlsctx speaks TLS on both sides: it ends it for downstream connections and begins it to upstream hosts, with crypto/tls, and
// turns a connection into one whose bytes are the decrypted ones.
//
// What a context is made of may change at any time: certificates, whom to trust, ticket keys. Each handshake looks whether its secrets
// are those that the context in use was made of, and makes it anew if not; connections that exist go on as they are.
package tlsctx

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/info"
)

// errNotReady is a handshake for which a secret is still missing.
var errNotReady = errors.New("a secret of the TLS context is not there yet")

// A Server ends TLS for the connections of one filter chain.
type Server struct {
	// set in NewServer, never changed
	cfg   *ServerConfig
	parts *parts
	tally *Tally
	outer *tls.Config // has the ticket keys that Go makes, which outlive what is made of the secrets

	made atomic.Pointer[serverContext]
	mu   sync.Mutex // one is made at a time
}

// A serverContext is what was made of one state of the secrets. It is immutable.
type serverContext struct {
	from   []*secret.Secret
	tls    *tls.Config
	verify *Verifier
	sel    *selector
}

// NewServer makes a Server of secrets that may be missing yet: handshakes fail until they are there.
func NewServer(cfg *ServerConfig, r Resolver, t *Tally) (*Server, error) {
	s := &Server{cfg: cfg, tally: t}
	s.parts = newParts(&cfg.Common, cfg.TicketKeys, r)
	s.outer = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: configFor}
	if _, err := s.context(); err != nil && !errors.Is(err, errNotReady) {
		return nil, err
	}
	return s, nil
}

// Server completes the handshake until the deadline and puts the decrypted side in the connection's place.
func (s *Server) Server(c *conn.Conn, deadline time.Time) error {
	err := s.handshake(c, deadline)
	if err != nil {
		s.tally.failed(err)
		c.Info.TLSFailure = failure(err)
		return fmt.Errorf("TLS handshake: %w", err)
	}
	return nil
}

func (s *Server) handshake(c *conn.Conn, deadline time.Time) error {
	ctx, err := s.context()
	if err != nil {
		return err
	}
	h := &serverHandshake{s: s, ctx: ctx}
	w := &wire{c: c.Conn, in: c.In, h: h}
	c.In = buffer.Buf{}
	t := tls.Server(w, s.outer)
	if err := t.SetDeadline(deadline); err != nil {
		return err
	}
	if err := t.Handshake(); err != nil {
		w.in.Discard()
		return h.missing(err, t)
	}
	if err := t.SetDeadline(time.Time{}); err != nil {
		return err
	}
	w.h = nil
	cs := t.ConnectionState()
	s.tally.done(&cs)
	i := &c.Info
	i.TLSVersion, i.TLSCipher, i.NegotiatedALPN, i.TLSResumed = versionName(cs.Version), suiteName(cs.CipherSuite), cs.NegotiatedProtocol, cs.DidResume
	i.PeerCertificate, i.PeerValidated = Describe(cs.PeerCertificates), h.validated
	i.LocalCertificate = h.local
	c.Conn = newConn(c.Conn, t, w)
	return nil
}

// A serverHandshake is one handshake under way.
type serverHandshake struct {
	s         *Server
	ctx       *serverContext
	hello     *tls.ClientHelloInfo
	validated bool
	local     *info.Certificate
}

// configFor is tls.Config.GetConfigForClient: the handshake is known by its connection.
func configFor(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	w, ok := hello.Conn.(*wire)
	if !ok || w.h == nil {
		return nil, errNotReady
	}
	h := w.h
	h.hello = hello
	if h.s.cfg.RequireSNI && hello.ServerName == "" {
		// A context without certificates says unrecognized_name, as Envoy does.
		return &tls.Config{MinVersion: tls.VersionTLS12}, nil
	}
	cfg := h.ctx.tls.Clone()
	cfg.GetCertificate, cfg.VerifyConnection = h.certificate, h.verify
	if !slices.ContainsFunc(cfg.NextProtos, func(p string) bool { return slices.Contains(hello.SupportedProtos, p) }) {
		cfg.NextProtos = nil // nothing in common is no reason to refuse the client, as in Envoy
	}
	return cfg, nil
}

// certificate is tls.Config.GetCertificate.
func (h *serverHandshake) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c := h.ctx.sel.choose(hello)
	if c == nil {
		h.s.tally.Stats.StapleFailed.Inc()
		return nil, errNoUsable
	}
	h.local = c.about
	return h.ctx.sel.staple(hello, c), nil
}

// verify is tls.Config.VerifyConnection: it judges resumed sessions too, since whom to trust may have changed.
func (h *serverHandshake) verify(cs tls.ConnectionState) error {
	if h.local == nil { // when a session is resumed none is presented
		if c := h.ctx.sel.choose(h.hello); c != nil {
			h.local = c.about
		}
	}
	if len(cs.PeerCertificates) == 0 {
		if h.s.cfg.RequireCertificate {
			return refused(NoCertificate, "none was presented")
		}
		return nil
	}
	var err error
	h.validated, err = h.ctx.verify.Verify(cs.PeerCertificates, time.Now(), nil)
	return err
}

// missing tells the error of a client without a certificate, which crypto/tls finds itself, from others: it is our own, and it came
// after ours was presented.
func (h *serverHandshake) missing(err error, t *tls.Conn) error {
	var n net.Error
	var v *VerifyError
	if h.s.cfg.RequireCertificate && h.local != nil && len(t.ConnectionState().PeerCertificates) == 0 &&
		!errors.As(err, &n) && !errors.As(err, &v) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return &VerifyError{NoCertificate, err}
	}
	return err
}

// context gives the context of the secrets as they are.
func (s *Server) context() (*serverContext, error) {
	c := s.made.Load()
	if c != nil && s.parts.same(c.from) {
		return c, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c = s.made.Load(); c != nil && s.parts.same(c.from) {
		return c, nil
	}
	from := s.parts.load()
	next, err := s.make(from)
	switch {
	case err == nil && c != nil:
		s.tally.Stats.ContextUpdate.Inc()
	case err != nil && c != nil:
		// What was good goes on, until the secrets change again.
		s.tally.Stats.ContextUpdateError.Inc()
		own := *c
		own.from = from
		next = &own
	case err != nil:
		return nil, err
	}
	s.made.Store(next)
	return next, nil
}

func (s *Server) make(from []*secret.Secret) (*serverContext, error) {
	g, err := s.parts.group(from)
	if err != nil {
		return nil, err
	}
	v, err := NewVerifier(g.validation, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	if len(g.certificates) == 0 {
		return nil, errNotReady
	}
	all := make([]*cert, len(g.certificates))
	for i, c := range g.certificates {
		all[i] = newCert(c)
	}
	c := &serverContext{from: from, verify: v, sel: newSelector(all, s.cfg.FullScan, s.cfg.Staple, s.tally)}
	c.tls = s.cfg.base()
	switch {
	case s.cfg.RequireCertificate:
		c.tls.ClientAuth = tls.RequireAnyClientCert
	case v.Asks():
		c.tls.ClientAuth = tls.RequestClientCert
	}
	if v != nil && g.validation.Roots != nil && !g.validation.HideCAs {
		c.tls.ClientCAs = v.roots
	}
	s.tickets(c.tls, g.tickets)
	return c, nil
}

// base is what both sides' configurations have in common.
func (c *Common) base() *tls.Config {
	return &tls.Config{
		MinVersion: max(c.Params.Min, tls.VersionTLS12), MaxVersion: c.Params.Max,
		CipherSuites: c.Params.Ciphers, CurvePreferences: c.Params.Curves,
		NextProtos: c.ALPN,
		// Records of full size from the beginning: each is a system call.
		DynamicRecordSizingDisabled: true,
	}
}
