package proxy

import (
	"context"
	"maps"
	"slices"
	"time"

	clistener "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/listener"
)

// Drain stops accepting, asks every connection to end, and returns when all have
// or ctx ends.
func (p *Proxy) Drain(ctx context.Context) {
	p.draining.Store(true)
	p.drain(ctx, func(*live) bool { return true })
}

// DrainInbound does so for the listeners whose traffic_direction is INBOUND.
func (p *Proxy) DrainInbound(ctx context.Context) {
	p.drain(ctx, func(l *live) bool { return l.l.Config().Direction == clistener.Inbound })
}

func (p *Proxy) drain(ctx context.Context, which func(*live) bool) {
	chosen := slices.DeleteFunc(p.all(), func(l *live) bool { return !which(l) })
	for _, l := range chosen {
		l.l.StopAccepting()
		l.l.Drain()
	}
	for _, l := range chosen {
		awaitIdle(ctx, l.l)
	}
}

// idlePoll is how often a draining listener is looked at.
const idlePoll = 20 * time.Millisecond

// awaitIdle waits until a listener has no connection, or ctx ends.
func awaitIdle(ctx context.Context, l *listener.Listener) {
	t := time.NewTicker(idlePoll)
	defer t.Stop()
	for l.ActiveConns() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (p *Proxy) all() []*live {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.AppendSeq(make([]*live, 0, len(p.listeners)), maps.Values(p.listeners))
	return slices.AppendSeq(out, maps.Keys(p.retired))
}
