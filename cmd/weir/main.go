// Command weir is an L7 transparent proxy with traffic management, configured by
// Envoy's v3 API. `weir -c bootstrap.yaml` takes Envoy's flags and stands where
// `envoy` stood.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "dev"

// Exit codes (docs/cli.md).
const (
	exitFailed  = 1 // bad configuration, bad flag, address in use: as Envoy
	exitProblem = 3 // a check found a problem
)

// problem is an error that means "there is something wrong here", not "this did
// not work".
type problem struct{ error }

func main() {
	if err := command().ExecuteContext(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "weir:", err)
		var p problem
		if errors.As(err, &p) {
			os.Exit(exitProblem)
		}
		os.Exit(exitFailed)
	}
}

// command is the tree of verbs: one file each.
func command() *cobra.Command {
	o := new(flags)
	root := &cobra.Command{
		Use:           "weir -c bootstrap.yaml",
		Short:         "An L7 transparent proxy, configured by Envoy's v3 API",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		Version:       version,
		RunE:          func(*cobra.Command, []string) error { return run(o) },
	}
	o.add(root.Flags())
	runCmd := &cobra.Command{
		Use: "run", Short: "Run the proxy (the same as without a verb)", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return run(o) },
	}
	o.add(runCmd.Flags())
	root.AddCommand(runCmd, validateCommand(), interceptCommand(), xdsCommand(), demoCommand())
	return root
}
