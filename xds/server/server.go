// Package server is the embedded control plane: it serves a folder of xDS resources, or resources given to it, over ADS to any node.
//
//  1. [New] reads the folder: YAML or JSON, one or many resources a file. Every mistake has its file and line.
//  2. A set of resources that refers to something it lacks is refused by name; the last good set stays.
//  3. A version is a hash of a type's content: reading the same files again changes nothing.
//  4. [Server.Serve] answers the aggregated stream, state of the world and delta, and the streams of single types, and watches the
//     folder. Types go out in the order of make before break: secrets, clusters, endpoints, listeners, routes.
//
// It is what `weir xds serve`, the demo and the end-to-end tests use. It never runs inside the proxy.
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/log"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
)

// Options say how a Server serves.
type Options struct {
	Logger *zap.Logger // nil is silent
	// Credentials secure the port; nil is plaintext.
	Credentials credentials.TransportCredentials
	// OnAnswer sees every ACK and NACK. It is called from the goroutines of the streams, and holds the stream up.
	OnAnswer func(Answer)
	// OnStream sees streams come and go, likewise.
	OnStream func(id int64, open bool)
	// AllowInconsistent serves sets that refer to what they lack: for tests of what a client does then.
	AllowInconsistent bool
}

// An Answer is what a client said about a response.
type Answer struct {
	Stream  int64 // counts streams of one protocol variant
	Node    string
	Delta   bool
	TypeURL string
	Version string // that was accepted or refused
	Nonce   string
	Err     string // error_detail of a NACK; "" is an ACK
}

// A Server is an embedded control plane. Its methods may be called from any goroutine.
type Server struct {
	// Set in New, never changed.
	dir     string
	o       Options
	log     *zap.Logger
	cache   cache.SnapshotCache
	answers *answers

	mu   sync.Mutex // guards what is served: one change at a time
	snap *cache.Snapshot
}

// New makes a server of a folder, and reads it. With an empty dir it serves what SetResources gives it, and nothing before that.
func New(dir string, o Options) (*Server, error) {
	s := &Server{dir: dir, o: o, log: o.Logger, answers: newAnswers(o)}
	if s.log == nil {
		s.log = zap.NewNop()
	}
	l := s.log.Sugar()
	// ads: false, as with true a request that does not name every resource gets no answer at all, so that one refused cluster
	// would keep the endpoints from all others. The order of types is kept by publish and WithOrderedADS.
	s.cache = cache.NewSnapshotCache(false, oneNode{}, log.LoggerFuncs{
		DebugFunc: l.Debugf, InfoFunc: l.Debugf, WarnFunc: l.Debugf, ErrorFunc: l.Errorf,
	})
	if dir != "" {
		if err := s.Reload(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// oneNode gives every node the same resources.
type oneNode struct{}

const everyNode = "*"

// ID is the same for all.
func (oneNode) ID(*corev3.Node) string { return everyNode }

// Reload reads the folder. On an error what is served stays.
func (s *Server) Reload() error {
	set, err := readDir(s.dir)
	if err != nil {
		return err
	}
	return s.serve(set)
}

// SetResources replaces everything that is served. Messages are xDS resources; one that is invalid for a client is served as it is.
func (s *Server) SetResources(resources ...proto.Message) error {
	set := &resourceSet{}
	var errs []error
	for _, m := range resources {
		if err := set.add(m, nil); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return s.serve(set)
}

// serve checks a set and hands it to the cache, type by type.
func (s *Server) serve(set *resourceSet) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	problems, warnings := set.check()
	for _, w := range warnings {
		s.log.Warn(w)
	}
	if len(problems) > 0 && !s.o.AllowInconsistent {
		return errors.Join(problems...)
	}
	next, err := set.snapshot()
	if err != nil {
		return err
	}
	if s.snap != nil && equal(s.snap, next) {
		return nil
	}
	for _, stage := range stages(s.snap, next) {
		if err := s.cache.SetSnapshot(context.Background(), everyNode, stage); err != nil {
			return fmt.Errorf("serve snapshot: %w", err)
		}
	}
	s.snap = next
	s.log.Info("serving", zap.Int("resources", len(set.all)), zap.String("versions", versions(next)))
	return nil
}

// Version gives the version of a type as it is served now; "" for a type that is not served.
func (s *Server) Version(typeURL string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snap.GetVersion(typeURL)
}

// ListenAndServe serves on a TCP address until ctx ends.
func (s *Server) ListenAndServe(ctx context.Context, addr string) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	return s.Serve(ctx, l)
}

// The limits of the port.
const (
	maxMessage = 64 << 20         // bytes of a request: a node with metadata and every name
	minPing    = 10 * time.Second // clients may ask whether we live this often
)

// Serve serves on l until ctx ends, and closes it. It returns nil when ctx ended it.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	opts := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(maxMessage),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	}
	if s.o.Credentials != nil {
		opts = append(opts, grpc.Creds(s.o.Credentials))
	}
	g := grpc.NewServer(opts...)
	register(g, handlers{
		sotw:  sotw.NewServer(ctx, s.cache, s.answers, sotw.WithOrderedADS()),
		delta: delta.NewServer(ctx, s.cache, s.answers),
	})

	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		<-ctx.Done()
		g.Stop()
	})
	if s.dir != "" {
		wg.Go(func() { s.watch(ctx) })
	}
	err := g.Serve(l)
	cancel()
	if err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	}
	return nil
}
