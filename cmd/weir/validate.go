package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/secret"
)

func validateCommand() *cobra.Command {
	o := new(flags)
	var admin, output string
	c := &cobra.Command{
		Use: "validate -c bootstrap.yaml | --against ADMIN FILE-OR-FOLDER", Short: "Check a configuration: every mistake, each at its line; or what it would change in a running Weir",
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			switch {
			case output != "text" && output != "json":
				return fmt.Errorf("--output %q: want text or json", output)
			case admin == "" && len(args) > 0:
				return fmt.Errorf("%s: a bootstrap is named by -c; without, --against is needed", args[0])
			case admin == "":
				return validate(o, c.OutOrStdout(), c.ErrOrStderr())
			}
			path := o.configPath
			if len(args) > 0 {
				path = args[0]
			}
			if path == "" {
				return errors.New("--against: which file or folder?")
			}
			return against(c.Context(), o, admin, path, output, c.OutOrStdout())
		},
	}
	o.add(c.Flags())
	c.Flags().StringVar(&admin, "against", "", "`address` of a running Weir's admin interface, host:port or a socket's path: say what the bootstrap, the file or the folder of resources would change there")
	c.Flags().StringVar(&output, "output", "text", "text or json, of --against")
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
