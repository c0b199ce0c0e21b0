package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/filters/accesslog/file"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// gcPercent is how much garbage may gather before a collection: the data path
// makes none, so memory is the control plane's, and collections only cost
// (docs/performance.md).
const gcPercent = 400

// A process is a running proxy.
type process struct {
	o     *flags
	log   *zap.Logger
	level zap.AtomicLevel
	l     *loaded

	stats *stats.Store
	files *file.Files
	proxy *proxy.Proxy
	xds   *xds.Client
	state state
	quit  context.CancelFunc      // ends the process gracefully
	abort context.CancelCauseFunc // … and at once
	rules atomic.Pointer[intercept.Handle]
	first sync.Once
}

// run is the proxy from start to end.
func run(o *flags) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.mode == "validate" {
		return validate(o, os.Stdout)
	}
	log, at, err := newLogger(o)
	if err != nil {
		return err
	}
	defer func() { _ = log.Sync() }()
	l, err := load(o)
	if err != nil {
		return err
	}
	tune(o)
	p := &process{o: o, log: log, level: at, l: l, stats: stats.NewStore()}
	return p.serve()
}

// tune sets the runtime up for a data path.
func tune(o *flags) {
	if o.concurrency > 0 {
		runtime.GOMAXPROCS(o.concurrency)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit := cgroupMemory(); limit > 0 {
			debug.SetMemoryLimit(limit / 10 * 9)
		}
	}
}

func (p *process) serve() error {
	signals, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	asked, quit := context.WithCancel(signals)
	defer quit()
	p.quit = quit
	if err := p.build(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	p.abort = cancel
	g, ctx := errgroup.WithContext(ctx)
	files, closeFiles := context.WithCancel(context.Background())
	filesDone := make(chan struct{})
	go func() { defer close(filesDone); _ = p.files.Run(files) }()
	defer func() { closeFiles(); <-filesDone }()

	g.Go(func() error { return p.proxy.Run(ctx) })
	g.Go(func() error { return ignoreEnd(ctx, p.xds.Run(ctx)) })
	g.Go(func() error { return p.admin(ctx) })
	g.Go(func() error { return p.onHup(ctx) })
	g.Go(func() error { return p.start(ctx) })
	g.Go(func() error {
		select {
		case <-asked.Done():
		case <-ctx.Done():
			return nil
		}
		p.drain()
		cancel(errStopped)
		return errStopped
	})
	err := g.Wait()
	p.stopRules()
	if err == nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

// errStopped ends the process as it was asked to.
var errStopped = errors.New("stopped")

func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// build makes the parts; nothing serves yet.
func (p *process) build() (err error) {
	p.files = file.NewFiles(p.stats.Scope("filesystem"))
	mark := uint32(0)
	if p.o.interceptOn != "" {
		mark = p.o.intercept.ownMark
	}
	p.proxy, err = proxy.New(proxy.Options{
		Log: p.log, Stats: p.stats, Loggers: p.files.Open, OwnMark: mark, Workers: p.o.concurrency, DrainTime: p.o.drain(),
	})
	if err != nil {
		return err
	}
	p.xds, err = p.l.client(p.o, xds.Options{Apply: p.apply, Logger: p.log.Named("xds")}, mark)
	return err
}

// apply takes a snapshot to the data plane. When the first one, which has the
// bootstrap's own resources, cannot be served, the process ends.
func (p *process) apply(s *config.Snapshot) error {
	err := p.proxy.Apply(s)
	p.first.Do(func() {
		if err != nil {
			p.abort(err)
		}
	})
	return err
}

// livePoll is how often a starting process looks whether it may call itself live.
const livePoll = 10 * time.Millisecond

// start waits until what the bootstrap asks for serves, or is no longer waited
// for; then it takes traffic and calls itself live (Envoy: ServerInfo.State).
func (p *process) start(ctx context.Context) error {
	t := time.NewTicker(livePoll)
	defer t.Stop()
	for {
		st := p.xds.Status()
		if st.Ready && st.Snapshot > 0 && st.Applied == st.Snapshot && len(st.Warming) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	if err := p.startRules(); err != nil {
		return err
	}
	p.state.live()
	p.log.Info("started", zap.String("version", version))
	return nil
}

// onHup opens log files anew, as log rotation asks for.
func (p *process) onHup(ctx context.Context) error {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP, syscall.SIGUSR1)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
			p.files.Reopen()
		case <-ctx.Done():
			return nil
		}
	}
}

// drain lets connections end: new ones go elsewhere first, when we intercept.
func (p *process) drain() {
	p.state.drain()
	p.log.Info("draining", zap.Duration("at most", p.o.drain()))
	p.stopRules()
	ctx, cancel := context.WithTimeout(context.Background(), p.o.drain())
	defer cancel()
	if p.o.drainStrategy == "immediate" {
		cancel()
	}
	p.proxy.Drain(ctx)
}
