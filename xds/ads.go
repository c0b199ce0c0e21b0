package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ADS is a discovery stream: the aggregated one (Envoy: ads_config), or one of a single type. Either Dial or Targets is set.
type ADS struct {
	Name  string       // for people, different for every source; default "ads"
	Types []SourceType // empty is all that no other source of the client serves, with default timeouts
	// Delta speaks the incremental protocol (api_type: DELTA_GRPC).
	Delta bool
	// Single uses the service of the one type in Types instead of the aggregated service (api_config_source of that type).
	Single bool
	// Dial makes the connection of one stream. It is closed when the stream ends.
	Dial func(context.Context) (*grpc.ClientConn, error)
	// Targets are host:port, or unix:path, of the endpoints of the xDS cluster. Each try takes the next one.
	Targets []string
	// DialContext opens the sockets to Targets; nil is net.Dialer. Interception needs marked sockets.
	DialContext func(ctx context.Context, addr string) (net.Conn, error)
	// Authority is the streams' ":authority"; default the target.
	Authority string
	// Credentials are for Targets; nil is plaintext.
	Credentials credentials.TransportCredentials
	// NodeAlways sends the node with every request (set_node_on_first_message_only: false).
	NodeAlways bool
	// Metadata is sent with the stream (initial_metadata): key, value, key, value …
	Metadata []string

	tries atomic.Uint64
}

// The limits of the connection.
const (
	maxMessage     = 256 << 20 // bytes of a response; gRPC's default of 4 MiB is below 20,000 clusters
	connectTimeout = 5 * time.Second
	// A server may refuse more frequent pings: its default is 5 minutes (gRPC A8, GOAWAY too_many_pings).
	pingEvery   = 5 * time.Minute
	pingTimeout = 20 * time.Second
)

func (a *ADS) source() Source {
	s := Source{Name: a.Name, Delta: a.Delta, Types: a.Types, NodeAlways: a.NodeAlways}
	if s.Name == "" {
		s.Name = "ads"
	}
	if a.Single && len(a.Types) > 1 {
		s.Types = a.Types[:1]
	}
	return s
}

// run opens a stream and posts what it brings, until it ends.
func (a *ADS) run(st *stream, post func(Happening), source int) error {
	defer st.cancel()
	conn, err := a.dial(st.ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx := st.ctx
	if len(a.Metadata) > 0 {
		ctx = metadata.AppendToOutgoingContext(ctx, a.Metadata[:len(a.Metadata)&^1]...)
	}
	cs, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, a.method(),
		grpc.MaxCallRecvMsgSize(maxMessage), grpc.MaxCallSendMsgSize(maxMessage))
	if err != nil {
		return short(err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer st.cancel()
	wg.Go(func() { st.sendAll(cs) })
	post(Connected{source})
	for {
		h, err := a.receive(cs, source)
		if err != nil {
			return st.why(err)
		}
		post(h)
	}
}

// receive waits for the next response.
func (a *ADS) receive(cs grpc.ClientStream, source int) (Happening, error) {
	if a.Delta {
		r := &discoveryv3.DeltaDiscoveryResponse{}
		return ReceivedDelta{Source: source, Response: r}, cs.RecvMsg(r)
	}
	r := &discoveryv3.DiscoveryResponse{}
	return Received{Source: source, Response: r}, cs.RecvMsg(r)
}

// method is the RPC to call. All of them carry the same messages.
func (a *ADS) method() string {
	m := discoveryv3.AggregatedDiscoveryService_StreamAggregatedResources_FullMethodName
	if a.Single && len(a.Types) > 0 {
		if k, ok := kindOf(a.Types[0].TypeURL); ok {
			m = rows[k].rpc
		}
	}
	if a.Delta {
		return deltaMethod(m)
	}
	return m
}

// deltaMethod is the incremental variant of an RPC: StreamClusters is DeltaClusters. A test holds all of them to the protos.
func deltaMethod(m string) string { return strings.Replace(m, "/Stream", "/Delta", 1) }

func (a *ADS) dial(ctx context.Context) (*grpc.ClientConn, error) {
	if a.Dial != nil {
		return a.Dial(ctx)
	}
	if len(a.Targets) == 0 {
		return nil, errors.New("the xDS cluster has no endpoint")
	}
	target := a.Targets[int((a.tries.Add(1)-1)%uint64(len(a.Targets)))]
	creds := a.Credentials
	if creds == nil {
		creds = insecure.NewCredentials()
	}
	opts := []grpc.DialOption{
		grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{MinConnectTimeout: connectTimeout}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: pingEvery, Timeout: pingTimeout}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	}
	if a.Authority != "" {
		opts = append(opts, grpc.WithAuthority(a.Authority))
	}
	if a.DialContext != nil {
		opts = append(opts, grpc.WithContextDialer(a.DialContext))
	}
	if !isUnix(target) {
		target = "passthrough:///" + target
	}
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", target, err)
	}
	return conn, nil
}

func isUnix(target string) bool { return len(target) > 5 && target[:5] == "unix:" }

// stream is one open stream as Run sees it: a queue of requests.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex
	queue []proto.Message // guarded by mu
	more  chan struct{}   // has a token when queue may not be empty
	err   error           // guarded by mu: why sending ended
}

func newStream(ctx context.Context) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{ctx: ctx, cancel: cancel, more: make(chan struct{}, 1)}
}

// send queues a request. It never blocks: a server that does not read cannot stop the client. The queue stays short, as a type
// has at most a few requests outstanding.
func (st *stream) send(r proto.Message) {
	st.mu.Lock()
	st.queue = append(st.queue, r)
	st.mu.Unlock()
	select {
	case st.more <- struct{}{}:
	default:
	}
}

// sendAll sends what is queued until the stream ends.
func (st *stream) sendAll(cs grpc.ClientStream) {
	for {
		select {
		case <-st.ctx.Done():
			return
		case <-st.more:
		}
		st.mu.Lock()
		q := slices.Clone(st.queue)
		st.queue = st.queue[:0]
		st.mu.Unlock()
		for _, r := range q {
			if err := cs.SendMsg(r); err != nil {
				if !errors.Is(err, io.EOF) { // io.EOF: Recv knows the reason
					st.mu.Lock()
					st.err = fmt.Errorf("send: %w", short(err))
					st.mu.Unlock()
					st.cancel()
				}
				return
			}
		}
	}
}

// why gives the reason of the stream's end.
func (st *stream) why(err error) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	switch {
	case st.err != nil:
		return st.err
	case errors.Is(err, io.EOF):
		return nil
	}
	return short(err)
}

// short takes the words off a gRPC error that say nothing.
func short(err error) error {
	if s, ok := status.FromError(err); ok {
		return fmt.Errorf("%s: %s", s.Code(), s.Message())
	}
	return err
}
