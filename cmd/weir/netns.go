package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/netio"
)

// spaces are the network namespaces in which traffic is taken (--netns). Those
// that are not there yet are waited for; one that goes is let go.
type spaces struct {
	p   *process
	all []*space // set in newSpaces, never changed

	mu    sync.Mutex // one step at a time
	ended bool       // guarded by mu: nothing is taken any more
}

// A space is one of them.
type space struct {
	path string
	once bool // the path is a process's: what comes there later is another's

	// guarded by spaces.mu
	ns     *netio.Namespace // nil while it is not there
	rules  *intercept.Handle
	hold   *hold
	given  bool   // it was taken once, and once is set
	failed string // what was logged last
}

// namedSpaces is where ip-netns(8) keeps names.
const namedSpaces = "/run/netns"

// lookSpaces is how often namespaces are looked for: a pod that ends is let go
// within that time.
const lookSpaces = 500 * time.Millisecond

// spacePath is the path of --netns: a name is one of ip-netns(8).
func spacePath(s string) string {
	if strings.Contains(s, "/") {
		return s
	}
	return filepath.Join(namedSpaces, s)
}

func newSpaces(p *process) *spaces {
	x := &spaces{p: p}
	for _, s := range p.o.netns {
		path := spacePath(s)
		x.all = append(x.all, &space{path: path, once: strings.HasPrefix(filepath.Clean(path), "/proc/")})
	}
	return x
}

// start takes what is there. Rules that cannot be made are an error; a namespace
// that is not there is not.
func (x *spaces) start() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.all {
		if err := x.take(s); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		} else if err != nil {
			x.report(s, err)
		}
	}
	return nil
}

// run lets go what has gone, and takes what has come, until ctx ends.
func (x *spaces) run(ctx context.Context) error {
	tick := time.NewTicker(lookSpaces)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			x.look()
		}
	}
}

func (x *spaces) look() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended || !x.p.state.isLive.Load() {
		return
	}
	for _, s := range x.all {
		if s.ns != nil && !s.ns.There() {
			x.p.log.Info("network namespace has gone", zap.String("path", s.path))
			x.letGo(s)
		}
		if s.ns == nil && !s.given {
			x.report(s, x.take(s))
		}
	}
}

// report logs an error that is not the last one.
func (x *spaces) report(s *space, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.failed {
		return
	}
	s.failed = text
	switch {
	case errors.Is(err, os.ErrNotExist):
		x.p.log.Warn("network namespace is not there; it is waited for", zap.String("path", s.path))
	case err != nil:
		x.p.log.Error("network namespace not taken", zap.Error(err))
	}
}

// take opens the listeners' sockets there, and then takes the traffic.
func (x *spaces) take(s *space) error {
	ns, err := netio.OpenNamespace(s.path)
	if err != nil {
		return err
	}
	for _, o := range x.all {
		if o.ns != nil && o.ns.Same(ns) {
			ns.Leave()
			return fmt.Errorf("network namespace %s is also %s", s.path, o.path)
		}
	}
	upstream := ns
	if x.p.o.netnsUpstream == "here" {
		upstream = nil
	}
	if err := x.p.proxy.Attach(ns, upstream); err != nil {
		ns.Leave()
		return err
	}
	s.ns, s.given = ns, s.once
	if err := x.intercept(s); err != nil {
		x.letGo(s)
		return fmt.Errorf("network namespace %s: %w", s.path, err)
	}
	return nil
}

// intercept makes the rules, which end with this process.
func (x *spaces) intercept(s *space) error {
	p := x.p
	if p.o.interceptOn == "" {
		return nil
	}
	plan, err := p.rulesPlan()
	if err != nil {
		return err
	}
	err = s.ns.Do(func() (err error) { s.rules, err = intercept.Apply(plan, intercept.Resident); return err })
	if err == nil {
		s.hold, err = p.holdRules(s.rules)
	}
	if err != nil {
		return fmt.Errorf("intercept: %w", err)
	}
	p.log.Info("intercepting", zap.String("network namespace", s.path), zap.Uint16("to port", plan.ListenPort), zap.String("ports", p.o.interceptOn))
	return nil
}

// letGo ends what take began: rules first, so that traffic flows by itself.
func (x *spaces) letGo(s *space) {
	s.hold.stop()
	if s.rules != nil {
		if err := s.rules.Close(); err != nil {
			x.p.log.Error("interception rules not removed", zap.String("network namespace", s.path), zap.Error(err))
		}
	}
	x.p.proxy.Detach(s.ns)
	s.ns.Leave()
	s.ns, s.rules, s.hold = nil, nil, nil
}

// passNew ends the leases: new connections pass, what is intercepted stays so.
func (x *spaces) passNew() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.ended = true
	for _, s := range x.all {
		s.hold.stop()
		s.hold = nil
	}
}

// stop lets everything go.
func (x *spaces) stop() {
	x.passNew()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, s := range x.all {
		if s.ns != nil {
			x.letGo(s)
		}
	}
}
