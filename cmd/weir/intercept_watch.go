package main

import (
	"context"
	"fmt"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/proxy/intercept"
	"github.com/weirproxy/weir/proxy/stats"
)

// interceptStats are about the rules of this process, under intercept.
type interceptStats struct {
	Drift   *stats.Gauge   `stat:"drift"`       // what is different from the plan now
	Drifts  *stats.Counter `stat:"drift_total"` // changes by others that were noticed
	Repairs *stats.Counter `stat:"repaired_total"`
}

// watchEvery is how often rules are looked at whose change no event told.
const watchEvery = 30 * time.Second

// watchRules notices what others change of this process's rules, until ctx ends.
func (p *process) watchRules(ctx context.Context) error {
	h := p.rules.Load()
	if h == nil {
		return nil
	}
	s := stats.Fill[interceptStats](p.stats.Scope("intercept"))
	w := intercept.Watching{Plan: h.Plan, Every: watchEvery, Report: func(d intercept.Drift) { p.drifted(s, d) }}
	if p.o.repair {
		w.Repair = h.Mend
	}
	if err := w.Watch(ctx); err != nil {
		p.log.Error("interception rules are not watched", zap.Error(err))
	}
	return nil
}

// drifted tells of drift.
func (p *process) drifted(s *interceptStats, d intercept.Drift) {
	if d.Repaired {
		s.Drift.Set(0)
	} else {
		s.Drift.Set(int64(len(d.Findings)))
	}
	switch {
	case len(d.Findings) == 0:
		p.log.Info("interception rules are as planned again")
		return
	case d.Repaired:
		s.Repairs.Inc()
	}
	s.Drifts.Inc()
	for _, f := range d.Findings {
		p.log.Warn("interception rules were changed by others", zap.String("code", f.Code), zap.String("what", f.Text),
			zap.Bool("repaired", d.Repaired), zap.Error(d.Err))
	}
}

func watchCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "watch", Short: "Tell what others change of installed rules, a line each, and repair it if asked; ends when it is asked to", Args: cobra.NoArgs,
	}
	name := c.Flags().String("name", intercept.DefaultName, "name of the rules")
	repair := c.Flags().Bool("repair", false, "put the rules back")
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		s, err := intercept.GetStatus(*name)
		if err != nil {
			return err
		}
		if s.Plan == nil {
			return problem{fmt.Errorf("intercept %q: nothing is recorded to be watched", *name)}
		}
		plan := *s.Plan
		w := intercept.Watching{
			// Whoever applies another plan of the name changes what is to be there.
			Plan: func() intercept.Plan {
				if s, err := intercept.GetStatus(*name); err == nil && s.Plan != nil {
					plan = *s.Plan
				}
				return plan
			},
			Every: watchEvery,
			Report: func(d intercept.Drift) {
				if len(d.Findings) == 0 {
					fmt.Fprintln(c.OutOrStdout(), "as planned")
				}
				for _, f := range d.Findings {
					fmt.Fprintf(c.OutOrStdout(), "%s repaired=%t\n", f, d.Repaired)
				}
				if d.Err != nil {
					fmt.Fprintln(c.ErrOrStderr(), d.Err)
				}
			},
		}
		if *repair {
			w.Repair = func() error {
				if s, err := intercept.GetStatus(*name); err != nil || s.Plan == nil {
					return err // it was removed
				}
				h, err := intercept.Apply(plan, intercept.Installed)
				if err == nil {
					h.Release()
				}
				return err
			}
		}
		return w.Watch(ctx)
	}
	return c
}
