package main

import (
	"context"
	"sync"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/intercept"
)

// A hold renews the lease of this process's rules (intercept.Plan.Lease).
type hold struct {
	end  context.CancelFunc
	done sync.WaitGroup
}

// holdLease takes the lease, and renews it until passNew.
func (p *process) holdLease(h *intercept.Handle) error {
	l, err := p.holdRules(h)
	if err == nil {
		p.hold.Store(l)
	}
	return err
}

// holdRules takes the lease of the rules, and renews it until stop.
func (p *process) holdRules(h *intercept.Handle) (*hold, error) {
	if err := h.Renew(); err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background()) // ended by passNew: after the last drain
	l := &hold{end: end}
	l.done.Go(func() {
		h.Hold(ctx, p.alive, func(err error) {
			p.log.Error("interception lease not renewed: new connections pass", zap.Error(err))
		})
	})
	return l, nil
}

// stop ends the lease; nil has none.
func (l *hold) stop() {
	if l != nil {
		l.end()
		l.done.Wait()
	}
}

// passNew ends the lease: new connections pass, what is intercepted stays so.
func (p *process) passNew() {
	p.hold.Swap(nil).stop()
	p.spaces.passNew()
}
