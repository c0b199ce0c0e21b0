package main

import (
	"context"
	"fmt"
	"os"
	"time"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/weirproxy/weir/proxy/admin"
	"github.com/weirproxy/weir/xds/csds"
)

// admin serves the admin interface where the bootstrap says, until ctx ends.
func (p *process) admin(ctx context.Context) error {
	if p.l.boot.Admin == nil {
		return nil
	}
	ln, err := admin.Listen(ctx, p.l.boot.Admin)
	if err != nil {
		return err
	}
	p.log.Info("admin", zap.Stringer("address", ln.Addr()))
	if f := p.o.adminAddressPath; f != "" {
		if err := os.WriteFile(f, []byte(ln.Addr().String()), 0o644); err != nil {
			return fmt.Errorf("--admin-address-path: %w", err)
		}
	}
	var srv *admin.Server
	calls := csds.Handler(func(r *statusv3.ClientStatusRequest) *statusv3.ClientStatusResponse { return srv.ClientStatus(r) })
	srv = admin.New(admin.Options{
		GRPC: calls,
		Log:  p.log, Stats: p.stats, Proxy: p.proxy, XDS: p.xds.Status, Runtime: p.proxy.Runtime(), State: p.state.String,
		Bootstrap: p.l.boot.Proto, Node: p.l.boot.Node, Version: version, CommandLine: p.o.commandLine(), Started: time.Now(),
		Level: p.level, Quit: p.quit, ReopenLogs: p.files.Reopen, Drain: p.drainListeners,
		Decode: p.l.decoder(p.o).Decode,
	})
	return srv.Serve(ctx, ln)
}

// drainListeners is what POST /drain_listeners asks for.
func (p *process) drainListeners(o admin.DrainOptions) {
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), p.o.drain())
		defer cancel()
		if o.InboundOnly {
			p.proxy.DrainInbound(ctx)
			return
		}
		p.proxy.Drain(ctx)
	}()
}

// commandLine tells the options in Envoy's message.
func (o *flags) commandLine() *adminv3.CommandLineOptions {
	return &adminv3.CommandLineOptions{
		ConfigPath: o.configPath, ConfigYaml: o.configYAML, LogLevel: o.logLevel, LogPath: o.logPath,
		Concurrency: uint32(max(o.concurrency, 0)), ServiceCluster: o.serviceCluster, ServiceNode: o.serviceNode,
		ServiceZone: o.serviceZone, AdminAddressPath: o.adminAddressPath, DrainTime: durationpb.New(o.drain().Round(time.Second)),
	}
}
