package main

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/weirproxy/weir/cmd/weir/demo"
	"github.com/weirproxy/weir/test/netns"
)

func demoCommand() *cobra.Command {
	var asJSON, verbose bool
	c := &cobra.Command{
		Use: "demo", Short: "The whole story in throw-away network namespaces, no root where user namespaces are allowed", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := netns.Enter(); err != nil {
				return fmt.Errorf("the demo needs network namespaces: %w\ntry: sudo make demo", err)
			}
			self, err := os.Executable()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			o := demo.Options{Out: c.OutOrStdout(), JSON: asJSON, Weir: self}
			if verbose {
				o.Debug = os.Stderr
			}
			return demo.Run(ctx, o)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON document instead of a story")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "the proxy's log on standard error")
	return c
}
