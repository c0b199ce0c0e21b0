package xds

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

// A Service is one server that a source may talk to (Envoy: GrpcService; for REST, a cluster). Either Dial or Target is set.
type Service struct {
	Name string // for people
	// Dial opens a connection to the server: to a host of a cluster, say, secured as the cluster says. Nothing is added to it.
	Dial func(context.Context) (net.Conn, error)
	// Target is what gRPC dials by itself: host:port, dns:///host:port, unix:/path.
	Target string
	// TLS secures Target; nil is plaintext.
	TLS *tls.Config
	// DialContext opens the sockets to Target; nil is net.Dialer. Interception needs marked sockets.
	DialContext func(ctx context.Context, addr string) (net.Conn, error)
	// Authority is the streams' ":authority", and the Host of REST; default the target, then the name.
	Authority string
	// Metadata is sent with every stream (initial_metadata): key, value, key, value …
	Metadata []string
	// MaxMessage bounds a response, in bytes; default 256 MiB.
	MaxMessage int
	// HTTP2 speaks HTTP/2 to a REST server, instead of HTTP/1.1.
	HTTP2 bool
}

// Servers gives the services of servers in plaintext, by their addresses.
func Servers(targets ...string) (out []Service) {
	for _, t := range targets {
		out = append(out, Service{Name: t, Target: t})
	}
	return out
}

// The limits of a connection.
const (
	maxMessage     = 256 << 20 // bytes of a response; gRPC's default of 4 MiB is below 20,000 clusters
	connectTimeout = 5 * time.Second
	// A server may refuse more frequent pings: its default is 5 minutes (gRPC A8, GOAWAY too_many_pings).
	pingEvery   = 5 * time.Minute
	pingTimeout = 20 * time.Second
)

// open opens a stream. It waits for the connection, and not for an answer. The caller closes the connection.
func (s *Service) open(ctx context.Context, method string) (*grpc.ClientConn, grpc.ClientStream, error) {
	conn, err := s.client()
	if err != nil {
		return nil, nil, err
	}
	if len(s.Metadata) > 1 {
		ctx = metadata.AppendToOutgoingContext(ctx, s.Metadata[:len(s.Metadata)&^1]...)
	}
	limit := maxMessage
	if s.MaxMessage > 0 {
		limit = s.MaxMessage
	}
	cs, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method,
		grpc.MaxCallRecvMsgSize(limit), grpc.MaxCallSendMsgSize(maxMessage), grpc.ForceCodecV2(newCodec()))
	if err != nil {
		_ = conn.Close()
		return nil, nil, short(err)
	}
	return conn, cs, nil
}

// client makes a connection, which is dialled when a stream is opened.
func (s *Service) client() (*grpc.ClientConn, error) {
	target, dial, authority := s.Target, s.DialContext, s.Authority
	creds := insecure.NewCredentials()
	if s.TLS != nil {
		creds = credentials.NewTLS(s.TLS)
	}
	if s.Dial != nil {
		target = "passthrough:///" + s.Name // whom to dial is the cluster's to say, and how
		creds = insecure.NewCredentials()
		dial = func(ctx context.Context, _ string) (net.Conn, error) { return s.Dial(ctx) }
		if authority == "" {
			authority = s.Name
		}
	}
	if target == "" {
		return nil, errors.New("no server is named")
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	}
	if authority != "" {
		opts = append(opts, grpc.WithAuthority(authority))
	}
	if dial != nil {
		opts = append(opts, grpc.WithContextDialer(dial))
	}
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return conn, nil
}
