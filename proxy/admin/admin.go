// Package admin is the HTTP interface for people and tools: Envoy's paths and
// shapes, so that what reads an Envoy reads this.
//
// It has its own listener and goroutines, reads snapshots and atomic numbers,
// and takes no lock of the data path. What changes something is asked for with
// POST and is little: log level, drain, health, counters, log files, the end.
//
// endpoints.go is the table of what there is; adding an endpoint is adding a row.
//
// There is no authentication, as in Envoy: the interface belongs on a unix
// socket or on loopback. So that no web page reaches it from a browser on the
// same machine, requests must name the host by address or as localhost, and a
// POST must not come from another origin.
//
// The paths: https://www.envoyproxy.io/docs/envoy/latest/operations/admin.
package admin

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/doctor"
	"github.com/weirproxy/weir/proxy/explain/dryrun"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/listener/speakers"
	"github.com/weirproxy/weir/proxy/logging"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/xds"
)

// Source is the data plane that is shown; *proxy.Proxy is one.
type Source interface {
	Snapshot() *config.Snapshot
	Clusters() *upstream.Manager
	Listeners() []proxy.ListenerInfo
	Secrets() []proxy.SecretInfo
	Speakers() *speakers.Table
	Flows() *flows.Table
	LiveFlows(f func(flows.Live))
	Kill(id, stream uint64) (found, whole bool)
}

// DrainOptions say how listeners are drained (Envoy: POST /drain_listeners).
type DrainOptions struct {
	Graceful    bool // connections get the drain time to end
	SkipExit    bool // connections are asked to end, listeners go on accepting
	InboundOnly bool // only listeners with traffic_direction INBOUND
}

// Options are what a Server shows and what it may change. Everything but Proxy
// may be left out; what is not there is then shown as empty, and asking for a
// change that nobody can make is 503.
type Options struct {
	Log   *zap.Logger  // nil is silent
	Stats *stats.Store // of /stats
	Proxy Source

	XDS     func() xds.Status // nil without a client
	Runtime Runtime           // nil without layers
	// GRPC answers gRPC calls, which come by HTTP/2 with prior knowledge; nil answers none.
	GRPC http.Handler

	State func() string // Envoy's word: LIVE, DRAINING, PRE_INITIALIZING, INITIALIZING; nil is LIVE

	Bootstrap   *bootstrapv3.Bootstrap
	Node        *corev3.Node
	Version     string
	CommandLine *adminv3.CommandLineOptions
	Started     time.Time // of the process; zero: of New

	Levels           *logging.Levels // of the log
	Drain            func(DrainOptions)
	Quit             func()
	Decode           dryrun.Decode       // of POST /dry_run; nil: it is not available
	Doctor           func() *doctor.Live // what /doctor is told of this process; nil: it is not available
	ReopenLogs       func()
	FailHealthChecks func(failing bool) // POST /healthcheck/fail and ok; /ready follows them in any case

	// Allowed tells whether a request target is answered; nil answers all (Envoy: allow_paths).
	Allowed func(target string) bool
	// FlushOnAdmin ends an interval of histograms with every look at them (Envoy: stats_flush_on_admin).
	FlushOnAdmin bool
	// MutexTracing says that contention is traced (Envoy: --enable-mutex-tracing).
	MutexTracing bool
	// ProfilePath is the file that /cpuprofiler writes (Envoy: profile_path).
	ProfilePath string

	// Hosts are names, besides addresses and localhost, that the Host header of a request over TCP may have.
	Hosts []string
}

// A Server answers admin requests.
type Server struct {
	o       Options // set in New, never changed
	table   []endpoint
	cross   *http.CrossOriginProtection
	failing atomic.Bool // by /healthcheck/fail
	lookup  atomic.Bool // by /stats/recentlookups/enable
	own     *ownStats
	profile profile

	followers atomic.Int32 // of /flows
}

// New makes a Server.
func New(o Options) *Server {
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Stats == nil {
		o.Stats = stats.NewStore()
	}
	if o.State == nil {
		o.State = func() string { return "LIVE" }
	}
	if o.Started.IsZero() {
		o.Started = time.Now()
	}
	if o.ProfilePath == "" {
		o.ProfilePath = defaultProfile
	}
	return &Server{o: o, table: endpoints(), cross: http.NewCrossOriginProtection(), own: newOwnStats(o.Stats)}
}

// headTimeout bounds the reading of a request's head, and closing how long
// answers under way may take after the end was asked for.
const (
	headTimeout = 10 * time.Second
	idleTimeout = 2 * time.Minute
	closing     = time.Second
)

// Serve answers on a listener until ctx ends, and closes it.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	_, local := ln.Addr().(*net.UnixAddr)
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	h := &http.Server{
		Protocols:         &protocols,
		Handler:           s.Handler(!local),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(io.Discard, "", 0), // of broken requests
		ConnState:         s.own.connection,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		if h.Shutdown(end) != nil {
			_ = h.Close()
		}
	})
	err := h.Serve(ln)
	if stop() { // ctx has not ended: the listener broke
		_ = h.Close()
		return err
	}
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Handler is the interface without a listener. guarded refuses requests by
// names of hosts that are not ours, which a unix socket does not need.
func (s *Server) Handler(guarded bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w, done := s.own.request(w)
		defer done()
		if err := s.guard(r, guarded); err != nil {
			(&reply{w: w}).text(http.StatusForbidden, err.Error()+"\n")
			return
		}
		s.serve(w, r)
	})
}

// state is what /ready says.
func (s *Server) state() string {
	if st := s.o.State(); !s.failing.Load() || st != "LIVE" {
		return st
	}
	return "DRAINING"
}
