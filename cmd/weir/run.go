package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/accesslog/file"
	"github.com/weirproxy/weir/proxy"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/logging"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/watchdog"
	"github.com/weirproxy/weir/xds"
	"github.com/weirproxy/weir/xds/lastgood"
)

// A process is a running proxy.
type process struct {
	o     *flags
	log   *zap.Logger
	root  *zap.Logger // of no component
	level *logging.Levels
	l     *loaded

	began  time.Time
	stats  *stats.Store
	files  *file.Files
	proxy  *proxy.Proxy
	xds    *xds.Client
	keeper *lastgood.Keeper // nil: the last known good configuration is not kept
	state  state
	quit   context.CancelFunc      // ends the process gracefully
	abort  context.CancelCauseFunc // … and at once
	rules  atomic.Pointer[intercept.Handle]
	hold   atomic.Pointer[hold]
	mark   uint32        // packet mark of our own connections; 0 without one. Set in build
	spaces *spaces       // set in serve, never changed
	first  sync.Once     // of abort by apply
	taken  atomic.Uint64 // version of the last snapshot that apply is done with

	dog atomic.Pointer[watchdog.Watchdog] // nil without one
}

// run is the proxy from start to end.
func run(o *flags, out, notes io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	if o.mode != "serve" {
		return validate(o, out, notes)
	}
	root, at, err := newLogger(o)
	if err != nil {
		return err
	}
	defer func() { _ = root.Sync() }()
	log := root.Named(logMain)
	l, err := load(o)
	if err != nil {
		return err
	}
	for _, s := range o.ignored() {
		log.Info("flag without effect", zap.String("flag", s))
	}
	for _, name := range l.unknown {
		log.Warn("no such extension to disable", zap.String("extension", name))
	}
	tune(o)
	if err := o.trace(); err != nil {
		return err
	}
	if err := o.writeBaseID(); err != nil {
		return err
	}
	p := &process{o: o, log: log, root: root, level: at, began: time.Now(), l: l, stats: stats.NewStore()}
	return p.serve()
}

// serve runs the parts until one of them breaks, a signal comes or the admin
// interface asks for the end. All goroutines end with ctx, whose cause says why.
func (p *process) serve() error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	asked, quit := context.WithCancel(ctx)
	defer quit()
	p.quit, p.abort = quit, cancel
	p.spaces = newSpaces(p)
	if err := p.build(); err != nil {
		return err
	}
	files, closeFiles := context.WithCancel(context.Background())
	filesDone := make(chan struct{})
	go func() { defer close(filesDone); _ = p.files.Run(files) }()
	defer func() { closeFiles(); <-filesDone }() // after all who log

	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.proxy.Run(ctx) })
	g.Go(func() error { return ignoreEnd(ctx, p.xds.Run(ctx)) })
	if p.keeper != nil {
		g.Go(func() error { return p.keeper.Run(ctx) })
	}
	g.Go(func() error { return ignoreEnd(ctx, p.admin(ctx)) })
	g.Go(func() error { return p.onHup(ctx) })
	g.Go(func() error { return p.publish(ctx) })
	g.Go(func() error { return p.flush(ctx) })
	g.Go(func() error { return p.start(ctx) })
	if len(p.spaces.all) > 0 {
		g.Go(func() error { return p.spaces.run(ctx) })
	}
	g.Go(func() error { return p.onSignal(ctx, signals) })
	g.Go(func() error {
		select {
		case <-asked.Done():
		case <-ctx.Done(): // a part has failed
		}
		if ctx.Err() == nil {
			p.drain(ctx)
		}
		p.abort(errStopped)
		return nil
	})
	err := g.Wait()
	p.stopRules()
	p.stopWatchdog()
	if err == nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errStopped) {
		p.log.Info("stopped")
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

// onSignal drains at the first SIGTERM or SIGINT, and closes what is left at the
// second; a third kills, as if nobody listened.
func (p *process) onSignal(ctx context.Context, signals chan os.Signal) error {
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case s := <-signals:
			if n == 0 {
				p.log.Info("asked to end", zap.Stringer("signal", s))
				p.quit()
				continue
			}
			p.log.Warn("asked to end at once", zap.Stringer("signal", s))
			signal.Stop(signals)
			p.abort(errStopped)
			return nil
		}
	}
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

// build makes the parts; nothing serves yet.
func (p *process) build() (err error) {
	tags, err := p.o.tags()
	if err != nil {
		return err
	}
	for _, t := range tags {
		p.stats.FixTag(t[0], t[1])
	}
	useRules(p.stats, &p.l.boot.Stats)
	p.files = file.NewFiles(p.stats.Scope(""))
	p.files.Every, p.files.At = p.o.fileFlush()
	mark := uint32(0)
	if p.o.interceptOn != "" || p.o.changed("intercept-own-mark") {
		mark = p.o.intercept.ownMark
	} else if plan, ok := intercept.Recorded(p.o.intercept.name); ok {
		mark = plan.OwnMark // installed rules, which must not take our own connections
	}
	p.mark = mark
	demand := xds.NewDemand()
	detail, known := flows.ParseDetail(p.o.flows)
	if !known {
		return fmt.Errorf("--flows: %q, want off, hosts, paths or full", p.o.flows)
	}
	p.proxy, err = proxy.New(proxy.Options{
		Log: p.root.Named(logProxy), Stats: p.stats, Loggers: p.files.Open, OwnMark: mark, Away: len(p.o.netns) > 0, Workers: p.o.concurrency, DrainTime: p.o.drain(),
		Discover: demand,
		Gradual:  p.o.drainStrategy == "gradual",
		MaxConns: p.l.boot.MaxConnections, Runtime: p.l.runtime, Layers: p.l.boot.Runtime,
		Flows: detail,
		Node:  filters.Node{ID: p.l.boot.Node.GetId(), Cluster: p.l.boot.Node.GetCluster()},
	})
	if err != nil {
		return err
	}
	o := xds.Options{Apply: p.apply, Logger: p.root.Named(logConfig), Resolved: demand.Resolved}
	if err := p.keepLastGood(&o); err != nil {
		return err
	}
	p.xds, err = p.l.client(p.o, o, &reach{p.l.clusters, p.proxy.Clusters(), mark})
	if err != nil {
		return err
	}
	demand.Serve(p.xds)
	return nil
}
