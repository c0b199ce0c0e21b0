package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/secret"
)

func validateCommand() *cobra.Command {
	o := new(flags)
	c := &cobra.Command{
		Use: "validate -c bootstrap.yaml", Short: "Check a configuration: every mistake, each at its line", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return validate(o, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	o.add(c.Flags())
	return c
}

// validate reads a configuration and starts nothing. Remarks on what is valid
// and hardly meant go to notes.
func validate(o *flags, out, notes io.Writer) error {
	l, err := load(o)
	if err != nil {
		return err
	}
	for _, remark := range l.snapshot().Lint() {
		fmt.Fprintln(notes, "note:", remark)
	}
	name := o.configPath
	if name == "" {
		name = "--config-yaml"
	}
	fmt.Fprintf(out, "configuration '%s' OK\n", name)
	return nil
}

// snapshot is the static configuration by itself.
func (l *loaded) snapshot() *config.Snapshot {
	s := &config.Snapshot{
		Secrets: map[string]*config.Resource{}, Listeners: map[string]*config.Resource{}, Clusters: map[string]*config.Resource{},
	}
	for _, r := range l.static {
		switch r.Value.(type) {
		case *secret.Secret:
			s.Secrets[r.Name] = r
		case *cluster.Cluster:
			s.Clusters[r.Name] = r
		default:
			s.Listeners[r.Name] = r
		}
	}
	return s
}
