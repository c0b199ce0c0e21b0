package xds

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// ADS is a discovery stream: the aggregated one (Envoy: ads_config), or one of a single type.
type ADS struct {
	Name  string       // for people, different for every source; default "ads"
	Types []SourceType // empty is all that no other source of the client serves, with default timeouts
	// Delta speaks the incremental protocol (api_type: DELTA_GRPC).
	Delta bool
	// Single uses the service of the one type in Types instead of the aggregated service (api_config_source of that type).
	Single bool
	// Services are the servers to try, in this order: the next when one cannot be reached, or ends a stream without a response.
	Services []Service
	// NodeAlways sends the node with every request (set_node_on_first_message_only: false).
	NodeAlways bool
	// Rate bounds the requests on the stream; the zero Rate does not.
	Rate Rate
	// RetryBase and RetryMax bound the interval between tries; 0 is the client's.
	RetryBase, RetryMax time.Duration

	first int // which of Services the next stream tries first; owned by the stream's goroutine
}

func (a *ADS) source() Source {
	s := Source{Name: a.Name, Delta: a.Delta, Types: a.Types, NodeAlways: a.NodeAlways, RetryBase: a.RetryBase, RetryMax: a.RetryMax}
	if s.Name == "" {
		s.Name = "ads"
	}
	if a.Single && len(a.Types) > 1 {
		s.Types = a.Types[:1]
	}
	return s
}

func (a *ADS) alone(t SourceType) { a.Single, a.Types = true, []SourceType{t} }

// run opens a stream and posts what it brings, until it ends.
func (a *ADS) run(st *stream, post func(Happening), source int) error {
	defer st.cancel()
	conn, cs, err := a.open(st.ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer st.cancel()
	wg.Go(func() { st.sendAll(cs, a.Rate) })
	post(Connected{source})
	for {
		h, err := a.receive(cs, source)
		if err != nil {
			return st.why(err)
		}
		a.first = 0
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

// open opens a stream to the first server that can be reached. The one after it is the first to be tried next, unless this one
// answers.
func (a *ADS) open(ctx context.Context) (*grpc.ClientConn, grpc.ClientStream, error) {
	if len(a.Services) == 0 {
		return nil, nil, errors.New("no server is named")
	}
	var errs []string
	for range a.Services {
		s := &a.Services[a.first%len(a.Services)]
		a.first = (a.first + 1) % len(a.Services)
		conn, cs, err := s.open(ctx, a.method())
		if err == nil {
			return conn, cs, nil
		}
		if len(a.Services) > 1 {
			err = fmt.Errorf("%s: %w", s.Name, err)
		}
		if errs = append(errs, err.Error()); ctx.Err() != nil {
			break
		}
	}
	return nil, nil, errors.New(strings.Join(errs, "; "))
}

// stream is one open stream as Run sees it: a queue of requests.
type stream struct {
	ctx    context.Context
	cancel context.CancelFunc
	stats  *Stats

	mu    sync.Mutex
	queue []proto.Message // guarded by mu
	more  chan struct{}   // has a token when queue may not be empty
	err   error           // guarded by mu: why sending ended
}

func newStream(ctx context.Context, stats *Stats) *stream {
	ctx, cancel := context.WithCancel(ctx)
	return &stream{ctx: ctx, cancel: cancel, stats: stats, more: make(chan struct{}, 1)}
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

// take empties the queue.
func (st *stream) take() []proto.Message {
	st.mu.Lock()
	defer st.mu.Unlock()
	q := slices.Clone(st.queue)
	st.queue = st.queue[:0]
	return q
}

// sendAll sends what is queued until the stream ends, at the rate that is allowed.
func (st *stream) sendAll(cs grpc.ClientStream, rate Rate) {
	tokens := newBucket(rate, time.Now())
	for {
		select {
		case <-st.ctx.Done():
			return
		case <-st.more:
		}
		q := st.take()
		for i, r := range q {
			st.pace(&tokens, len(q)-i)
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
