package main

import (
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/xds/server"
)

func xdsCommand() *cobra.Command {
	c := &cobra.Command{Use: "xds", Short: "The embedded control plane"}
	var addr, logLevel string
	serve := &cobra.Command{
		Use: "serve DIR", Short: "Serve a folder of xDS resources over ADS; edits take effect as they are saved", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			log, _, err := newLogger(&flags{logLevel: logLevel})
			if err != nil {
				return err
			}
			s, err := server.New(args[0], server.Options{Logger: log, OnAnswer: func(a server.Answer) {
				if a.Err != "" {
					log.Warn("refused", zap.String("node", a.Node), zap.String("type", a.TypeURL), zap.String("version", a.Version), zap.String("error", a.Err))
					return
				}
				log.Debug("accepted", zap.String("node", a.Node), zap.String("type", a.TypeURL), zap.String("version", a.Version))
			}})
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			log.Info("serving", zap.String("folder", args[0]), zap.String("address", addr))
			err = s.ListenAndServe(ctx, addr)
			if ctx.Err() != nil {
				return nil
			}
			return err
		},
	}
	serve.Flags().StringVar(&addr, "listen", "127.0.0.1:18000", "address to serve on")
	serve.Flags().StringVarP(&logLevel, "log-level", "l", "info", "log level")
	c.AddCommand(serve)
	return c
}
