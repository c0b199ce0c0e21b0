package parity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// A connection is the client's, with or without TLS.
type connection interface {
	net.Conn
	CloseWrite() error
}

// certificates are made when they are first named, each its own authority.
var certificates = sync.OnceValue(func() func(name string) (cert, key string) {
	var mu sync.Mutex
	made := map[string][2]string{}
	return func(name string) (string, string) {
		mu.Lock()
		defer mu.Unlock()
		if made[name] == [2]string{} {
			made[name] = certificate(name)
		}
		return made[name][0], made[name][1]
	}
})

// certificate makes one for a host.
func certificate(name string) [2]string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		panic(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return [2]string{
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k})),
	}
}

// transportSocket is a listener's side of TLS: fields of a DownstreamTlsContext,
// in which $cert:NAME and $key:NAME stand for a certificate.
func (p *play) transportSocket() object {
	ctx := object{"@type": types + "extensions.transport_sockets.tls.v3.DownstreamTlsContext"}
	merge(ctx, object{"common_tls_context": object{"tls_certificates": []any{pair("a.test")}}})
	merge(ctx, p.object("tlscontext"))
	return object{"name": "envoy.transport_sockets.tls", "typed_config": certified(ctx)}
}

func pair(name string) object {
	return object{
		"certificate_chain": object{"inline_string": "$cert:" + name},
		"private_key":       object{"inline_string": "$key:" + name},
	}
}

func certified(v any) any {
	switch v := v.(type) {
	case object:
		out := object{}
		for k, x := range v {
			out[k] = certified(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = certified(v[i])
		}
		return out
	case string:
		if name, ok := strings.CutPrefix(v, "$cert:"); ok {
			cert, _ := certificates()(name)
			return cert
		}
		if name, ok := strings.CutPrefix(v, "$key:"); ok {
			_, key := certificates()(name)
			return key
		}
	}
	return v
}

// handshake begins TLS as the case's "tls" line says, and tells what came of it.
func (p *play) handshake(c *net.TCPConn) (connection, bool) {
	cfg := &tls.Config{InsecureSkipVerify: true}
	plain := false
	for w := range strings.FieldsSeq(p.k.tls) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "plain":
			plain = true
		case "sni":
			cfg.ServerName = value
		case "alpn":
			cfg.NextProtos = strings.Split(value, ",")
		case "max":
			cfg.MaxVersion = map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12}[value]
			cfg.MinVersion = tls.VersionTLS10
		case "cert":
			cert, key := certificates()(value)
			pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
			if err != nil {
				p.trouble(err.Error())
			}
			cfg.Certificates = []tls.Certificate{pair}
		default:
			p.trouble("tls line has " + w)
		}
	}
	if plain {
		return c, true
	}
	t := tls.Client(c, cfg)
	_ = t.SetDeadline(time.Now().Add(patience))
	if err := t.Handshake(); err != nil {
		p.say("< [no TLS]")
		return nil, false
	}
	_ = t.SetDeadline(time.Time{})
	s := t.ConnectionState()
	p.say("< [%s, alpn %q, certificate of %s]", tls.VersionName(s.Version), s.NegotiatedProtocol, s.PeerCertificates[0].Subject.CommonName)
	return t, true
}
