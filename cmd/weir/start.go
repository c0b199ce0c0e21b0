package main

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/config"
)

// apply takes a snapshot to the data plane. A start at which something of the
// bootstrap itself cannot be served, such as a listener whose address is taken,
// ends the process (Envoy: the same); what a control plane sent does not.
func (p *process) apply(s *config.Snapshot) error {
	err := p.proxy.Apply(s)
	if err != nil && !p.state.isLive.Load() && p.staticMissing(s) {
		p.first.Do(func() { p.abort(err) })
		err = nil // told once, by main
	}
	if p.keeper != nil && err == nil {
		p.keeper.Offer(s)
	}
	p.taken.Store(s.Version)
	return err
}

// staticMissing tells whether a static resource of s does not serve.
func (p *process) staticMissing(s *config.Snapshot) bool {
	serving := map[string]bool{}
	for _, l := range p.proxy.Listeners() {
		serving[l.Name] = true
	}
	for name, r := range s.Listeners {
		if r.Static && !serving[name] {
			return true
		}
	}
	for name, r := range s.Clusters {
		if _, ok := p.proxy.Clusters().Get(name); r.Static && !ok {
			return true
		}
	}
	return false
}

const (
	livePoll = 10 * time.Millisecond // how often a starting process looks whether it may call itself live
	dnsWait  = 15 * time.Second      // how long first answers of DNS are waited for
)

// start waits until what the bootstrap asks for serves, or is no longer waited
// for; then it takes traffic and calls itself live (Envoy: ServerInfo.State).
func (p *process) start(ctx context.Context) error {
	t := time.NewTicker(livePoll)
	defer t.Stop()
	for !p.ready() {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
	dns, cancel := context.WithTimeout(ctx, dnsWait)
	defer cancel()
	if err := p.proxy.Clusters().Resolved(dns); err != nil && ctx.Err() == nil {
		p.log.Warn("starting before every name has an address and every host its first health check", zap.Duration("waited", dnsWait))
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := p.startWatchdog(ctx); err != nil {
		return err
	}
	if err := p.startRules(); err != nil {
		return err
	}
	p.state.live(time.Since(p.began))
	p.log.Info("started", zap.String("version", version))
	return p.watchRules(ctx)
}

// ready looks at cheap numbers first: a status lists every resource there is.
func (p *process) ready() bool {
	n := p.xds.Stats()
	if v := n.Snapshots.Load(); v == 0 || p.taken.Load() != v || n.Warming.Load() != 0 {
		return false
	}
	st := p.xds.Status()
	return st.Ready && st.Applied == st.Snapshot && len(st.Warming) == 0
}

// drain lets connections end. Interception rules stay until they have: the packets
// of intercepted connections come to us by them. New connections pass by, since
// nothing listens any more, or since the lease of the rules has ended.
func (p *process) drain(ctx context.Context) {
	p.state.drain()
	p.log.Info("draining", zap.Duration("at most", p.o.drain()))
	p.passNew()
	ctx, cancel := context.WithTimeout(ctx, p.o.drain())
	defer cancel()
	if p.o.drainStrategy == "immediate" {
		cancel()
	}
	p.proxy.Drain(ctx)
}
