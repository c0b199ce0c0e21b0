// Command weir is an L7 transparent proxy with traffic management, configured by
// Envoy's v3 API. `weir -c bootstrap.yaml` takes Envoy's flags and stands where
// `envoy` stood.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// hotRestartVersion is what Envoy's wrappers compare before a hot restart, which
// does not exist here; it is Envoy 1.40's.
const hotRestartVersion = "11.104"

// Exit codes (docs/cli.md).
const (
	exitFailed  = 1 // bad configuration, bad flag, address in use: as Envoy
	exitProblem = 3 // a check found a problem
)

// coded is an error with an exit code of its own.
type coded struct {
	error
	code int
}

// problem is an error that means "there is something wrong here", not "this did
// not work".
type problem struct{ error }

func main() {
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs a command line and gives its exit code.
func execute(ctx context.Context, args []string, out, errs io.Writer) int {
	c := command()
	c.SetArgs(append([]string{}, args...)) // nil would be this process's own
	c.SetOut(out)
	c.SetErr(errs)
	err := c.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	fmt.Fprintln(errs, "weir:", err)
	var p problem
	if errors.As(err, &p) {
		return exitProblem
	}
	if c, ok := errors.AsType[coded](err); ok {
		return c.code
	}
	return exitFailed
}

// command is the tree of verbs: one file each.
func command() *cobra.Command {
	o := new(flags)
	verb := func(c *cobra.Command, _ []string) error {
		if o.hotRestartVersion {
			fmt.Fprintln(c.ErrOrStderr(), hotRestartVersion) // Envoy: the same
			return nil
		}
		return run(o, c.OutOrStdout(), c.ErrOrStderr())
	}
	root := &cobra.Command{
		Use:           "weir -c bootstrap.yaml",
		Short:         "An L7 transparent proxy, configured by Envoy's v3 API",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          beforeDash,
		Version:       fullVersion(),
		RunE:          verb,
	}
	root.SetVersionTemplate("\n{{.Name}}  version: {{.Version}}\n\n") // Envoy's
	o.add(root.Flags())
	runCmd := &cobra.Command{
		Use: "run", Short: "Run the proxy (the same as without a verb)", Args: beforeDash,
		RunE: verb,
	}
	o.add(runCmd.Flags())
	root.AddCommand(runCmd, validateCommand(), explainCommand(), flowsCommand(), interceptCommand(), doctorCommand(), xdsCommand(), demoCommand())
	return root
}

// beforeDash refuses what is no flag, but lets pass what stands behind "--", as Envoy does: launchers put words of their own there
// (func-e: "-- --run-id ID", to find its processes by).
func beforeDash(c *cobra.Command, args []string) error {
	if n := c.ArgsLenAtDash(); n >= 0 {
		args = args[:n]
	}
	return cobra.NoArgs(c, args)
}
