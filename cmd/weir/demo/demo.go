// Package demo is `weir demo`: it makes a client, a gateway and a server in
// network namespaces of its own, runs the real proxy in the gateway with real
// interception rules and a real control plane, and tells what Weir does with
// counted evidence for every step.
//
// Nothing outside its own namespaces is touched, and it needs no root where user
// namespaces are allowed.
package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Options say how the demo is told.
type Options struct {
	Out   io.Writer
	JSON  bool   // one JSON document instead of a story
	Weir  string // the proxy's program
	Debug io.Writer
}

// limit bounds the whole demo.
const limit = 60 * time.Second

// A step is one claim and the function that proves it.
type step struct {
	name string
	run  func(context.Context, *world) (evidence string, err error)
}

// result is a step that was run.
type result struct {
	Step     string  `json:"step"`
	Held     bool    `json:"held"`
	Evidence string  `json:"evidence"`
	Seconds  float64 `json:"seconds"`
}

// Run tells the whole story; the error says which step did not hold.
func Run(ctx context.Context, o Options) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	before, err := hostState()
	if err != nil {
		return err
	}
	w, err := newWorld(ctx, o)
	if err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	r := report{o: o}
	r.begin(w)
	for _, s := range steps {
		if !r.step(ctx, w, s) {
			break // what follows builds on it
		}
	}
	closed := w.close()
	r.step(ctx, w, step{"Nothing is left behind", func(context.Context, *world) (string, error) {
		after, err := hostState()
		switch {
		case closed != nil:
			return "", closed
		case err != nil:
			return "", err
		case after != before:
			return "", fmt.Errorf("this namespace had %s, now %s", before, after)
		}
		return fmt.Sprintf("namespaces, processes and rules are gone; around them still %s", after), nil
	}})
	return r.end()
}

// report prints what held.
type report struct {
	o       Options
	results []result
}

func (r *report) begin(w *world) {
	if !r.o.JSON {
		fmt.Fprintf(r.o.Out, "client %s ── gateway (weir) ── server %s     three network namespaces%s\n\n",
			w.top.ClientAddr4(), w.top.ServerAddr4(), withoutRoot())
	}
}

func (r *report) step(ctx context.Context, w *world, s step) bool {
	start := time.Now()
	evidence, err := s.run(ctx, w)
	res := result{Step: s.name, Held: err == nil, Evidence: evidence, Seconds: time.Since(start).Seconds()}
	if err != nil {
		res.Evidence = err.Error()
	}
	r.results = append(r.results, res)
	if !r.o.JSON {
		mark := "✓"
		if !res.Held {
			mark = "✗"
		}
		fmt.Fprintf(r.o.Out, "%s %s\n    %s\n", mark, res.Step, res.Evidence)
	}
	return res.Held
}

func (r *report) end() error {
	var failed []string
	for _, x := range r.results {
		if !x.Held {
			failed = append(failed, x.Step)
		}
	}
	if r.o.JSON {
		e := json.NewEncoder(r.o.Out)
		e.SetIndent("", " ")
		if err := e.Encode(map[string]any{"held": len(failed) == 0, "steps": r.results}); err != nil {
			return err
		}
	}
	if len(failed) == 0 {
		if !r.o.JSON {
			fmt.Fprintf(r.o.Out, "\nAll %d steps held.\n", len(r.results))
		}
		return nil
	}
	return errors.New("did not hold: " + failed[0])
}
