package core

import (
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/fielderr"
)

// A Service is a compiled GrpcService: one gRPC server, through a static cluster or, with Google, by itself.
type Service struct {
	Cluster   string // of envoy_grpc
	Authority string // ":authority"; "" is what Google's target says
	Google    *Google
	Metadata  []string // of every stream: key, value, key, value …
	// MaxMessage is max_receive_message_length in bytes; 0 is the default.
	MaxMessage uint32
	// RetryBase and RetryMax bound the interval between tries (retry_policy.retry_back_off); 0 is the default.
	RetryBase, RetryMax time.Duration
}

// Google is a compiled google_grpc: a server that no cluster describes.
type Google struct {
	Target string // host:port, dns:///host:port, unix:/path
	TLS    *GoogleTLS
	Token  string // of call_credentials, sent as "authorization: Bearer"; only over TLS
}

// GoogleTLS is ssl_credentials.
type GoogleTLS struct {
	Roots     []byte // PEM; empty is the system's
	Key, Cert []byte // PEM of the client; empty is none
}

// maxPEM bounds what is read of a file of certificates, in bytes.
const maxPEM = 1 << 20

// Name names the service for people.
func (s *Service) Name() string {
	if s.Google != nil {
		return s.Google.Target
	}
	return s.Cluster
}

// DecodeService reads a GrpcService.
func DecodeService(l *fielderr.List, path string, g *corev3.GrpcService) (s Service) {
	retry := g.GetRetryPolicy()
	retryAt := path + ".retry_policy"
	switch t := g.GetTargetSpecifier().(type) {
	case *corev3.GrpcService_EnvoyGrpc_:
		e := t.EnvoyGrpc
		s.Cluster, s.Authority = e.GetClusterName(), e.GetAuthority()
		if s.Cluster == "" {
			l.Addf(path+".envoy_grpc.cluster_name", "unset")
		}
		if s.Authority == "" {
			s.Authority = s.Cluster
		}
		s.MaxMessage = e.GetMaxReceiveMessageLength().GetValue()
		if e.GetRetryPolicy() != nil {
			retry, retryAt = e.GetRetryPolicy(), path+".envoy_grpc.retry_policy"
		}
	case *corev3.GrpcService_GoogleGrpc_:
		s.Google = decodeGoogle(l, path+".google_grpc", t.GoogleGrpc)
	default:
		l.Addf(path, "neither envoy_grpc nor google_grpc is set")
	}
	s.Metadata = decodeMetadata(l, path+".initial_metadata", g.GetInitialMetadata())
	if b := retry.GetRetryBackOff(); b != nil {
		s.RetryBase = l.PositiveDuration(retryAt+".retry_back_off.base_interval", b.GetBaseInterval(), 0)
		s.RetryMax = l.PositiveDuration(retryAt+".retry_back_off.max_interval", b.GetMaxInterval(), 10*s.RetryBase)
		if s.RetryMax < s.RetryBase {
			l.Addf(retryAt+".retry_back_off.max_interval", "below base_interval")
		}
	}
	return s
}

func decodeGoogle(l *fielderr.List, path string, m *corev3.GrpcService_GoogleGrpc) *Google {
	g := &Google{Target: m.GetTargetUri()}
	if g.Target == "" {
		l.Addf(path+".target_uri", "unset")
	}
	scheme, _, found := strings.Cut(g.Target, ":")
	switch scheme {
	case "xds", "google-c2p", "vsock", "unix-abstract", "ipv4", "ipv6":
		if found {
			l.Addf(path+".target_uri", "scheme %q is not supported (use host:port, dns:///host:port or unix:/path)", scheme)
		}
	}
	switch c := m.GetChannelCredentials().GetCredentialSpecifier().(type) {
	case nil:
	case *corev3.GrpcService_GoogleGrpc_ChannelCredentials_SslCredentials:
		g.TLS = decodeGoogleTLS(l, path+".channel_credentials.ssl_credentials", c.SslCredentials)
	case *corev3.GrpcService_GoogleGrpc_ChannelCredentials_GoogleDefault:
		l.Addf(path+".channel_credentials.google_default", "Google's default credentials are not supported (use ssl_credentials)")
	default:
		l.Addf(path+".channel_credentials.local_credentials", "local credentials are not supported (leave channel_credentials out, or use ssl_credentials)")
	}
	for i, c := range m.GetCallCredentials() {
		at := fielderr.Index(path+".call_credentials", i)
		t, ok := c.GetCredentialSpecifier().(*corev3.GrpcService_GoogleGrpc_CallCredentials_AccessToken)
		switch {
		case !ok:
			l.Addf(at, "only access_token is supported")
		case g.TLS == nil:
			l.Addf(at+".access_token", "a token is sent over TLS only (set channel_credentials.ssl_credentials)")
		case g.Token != "":
			l.Addf(at+".access_token", "a second token")
		default:
			g.Token = t.AccessToken
		}
	}
	return g
}

func decodeGoogleTLS(l *fielderr.List, path string, m *corev3.GrpcService_GoogleGrpc_SslCredentials) *GoogleTLS {
	read := func(field string, d *corev3.DataSource) []byte {
		if d == nil {
			return nil
		}
		b, err := ReadData(d, maxPEM, "")
		if err != nil {
			l.Add(path+"."+field, err)
		}
		return b
	}
	t := &GoogleTLS{
		Roots: read("root_certs", m.GetRootCerts()), Key: read("private_key", m.GetPrivateKey()), Cert: read("cert_chain", m.GetCertChain()),
	}
	if (m.GetPrivateKey() == nil) != (m.GetCertChain() == nil) {
		l.Addf(path, "private_key and cert_chain come together")
	}
	return t
}
