package main

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/watchdog"
)

// defaultWatchdog finds a stopped process within a second: what is silent for eight
// ninths of it is found in the ninth.
const defaultWatchdog = 750 * time.Millisecond

// startWatchdog begins to watch this process, if anything could lead traffic to it
// that it does not notice. It comes before the rules.
func (p *process) startWatchdog(ctx context.Context) error {
	if p.o.watchdog == 0 || p.o.interceptOn == "" && !p.o.changed("watchdog") && !p.transparent() {
		return nil
	}
	w, err := watchdog.Start(watchdog.Options{
		Limit:   p.o.watchdog,
		Command: []string{"/proc/self/exe", "intercept", "watchdog", "--name", p.o.intercept.name},
		Pulses:  p.pulses,
		Report:  func(err error) { p.log.Error("watchdog", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("%w (--watchdog 0 goes without)", err)
	}
	p.dog.Store(w)
	context.AfterFunc(ctx, w.End)
	return nil
}

func (p *process) stopWatchdog() {
	if w := p.dog.Swap(nil); w != nil {
		w.Close()
	}
}

// pulses are what has to show signs of life.
func (p *process) pulses() []watchdog.Pulse {
	from := p.proxy.Pulses()
	out := make([]watchdog.Pulse, len(from))
	for i, x := range from {
		out[i] = x
	}
	return out
}

// alive tells whether new connections may be taken.
func (p *process) alive() bool {
	w := p.dog.Load()
	return w == nil || w.Alive()
}

// transparent tells whether a listener is there that installed rules may lead to.
func (p *process) transparent() bool {
	s := p.proxy.Snapshot()
	for name := range maps.Keys(s.Listeners) {
		if m := s.Listener(name); m != nil && m.Transparent {
			return true
		}
	}
	return false
}

// watchdogCommand is the guard, which startWatchdog starts.
func watchdogCommand() *cobra.Command {
	c := &cobra.Command{Use: "watchdog", Short: "The process that watches over a running Weir", Hidden: true, Args: cobra.NoArgs}
	pid := c.Flags().Int("pid", 0, "process")
	limit := c.Flags().Duration("limit", defaultWatchdog, "how long it may be silent")
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := watchdog.Serve(*pid, *limit, c.ErrOrStderr()); err != nil {
			return err
		}
		// The kernel has removed the rules with the process; policy rules and routes are left.
		return intercept.Sweep(*name, *pid)
	}
	return c
}
