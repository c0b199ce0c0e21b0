package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
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
	boot := p.l.boot
	srv = admin.New(admin.Options{
		GRPC: calls,
		Log:  p.root.Named(logAdmin), Stats: p.stats, Proxy: p.proxy, XDS: p.xds.Status, Runtime: p.proxy.Runtime(), State: p.state.String,
		Bootstrap: boot.Proto, Node: boot.Node, Version: fullVersion(), CommandLine: p.o.commandLine(), Started: p.began,
		Levels: p.level, Quit: p.quit, ReopenLogs: p.files.Reopen, Drain: p.drainListeners,
		Allowed: boot.Admin.Allowed, FlushOnAdmin: boot.Stats.FlushOnAdmin, MutexTracing: p.o.mutexTracing,
		ProfilePath: boot.Proto.GetAdmin().GetProfilePath(),
		Decode:      p.l.decoder(p.o).Decode,
		Doctor:      p.tell,
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
	seconds := func(n uint32) *durationpb.Duration { return durationpb.New(time.Duration(n) * time.Second) }
	given := func(name string) bool { return o.noop(name) == "true" }
	m := &adminv3.CommandLineOptions{
		BaseId: uint64(o.baseID), UseDynamicBaseId: o.dynamicBaseID, BaseIdPath: o.baseIDPath,
		Concurrency: uint32(runtime.GOMAXPROCS(0)), ConfigPath: o.configPath, ConfigYaml: o.configYAML,
		AllowUnknownStaticFields: o.allowUnknown || o.allowUnknownOld, RejectUnknownDynamicFields: o.rejectUnknownDynamic,
		IgnoreUnknownDynamicFields: o.ignoreUnknown, SkipDeprecatedLogs: given("skip-deprecated-logs"),
		AdminAddressPath: o.adminAddressPath, LogLevel: o.logLevel, ComponentLogLevel: o.componentLevel,
		LogFormat: o.logFormat, LogFormatEscaped: o.logEscaped, LogPath: o.logPath,
		ServiceCluster: o.serviceCluster, ServiceNode: o.serviceNode, ServiceZone: o.serviceZone,
		FileFlushInterval: durationpb.New(time.Duration(o.flushMillis) * time.Millisecond), FileFlushMinSize: o.flushKB,
		DrainTime: durationpb.New(o.drain().Round(time.Second)), ParentShutdownTime: seconds(o.noopNumber("parent-shutdown-time-s")),
		DisableHotRestart: given("disable-hot-restart"), RestartEpoch: o.noopNumber("restart-epoch"),
		SkipHotRestartOnNoParent: given("skip-hot-restart-on-no-parent"), SkipHotRestartParentStats: given("skip-hot-restart-parent-stats"),
		SocketPath: o.noop("socket-path"), EnableMutexTracing: o.mutexTracing, EnableCoreDump: o.coreDump,
		CpusetThreads: given("cpuset-threads"), EnableFineGrainLogging: given("enable-fine-grain-logging"),
		LogStacktraceSingleEntry: given("log-stacktrace-single-entry"), StatsTag: o.statsTags,
	}
	if mode, err := strconv.ParseUint(o.noop("socket-mode"), 8, 32); err == nil {
		m.SocketMode = uint32(mode)
	}
	if o.disabled != "" {
		m.DisabledExtensions = strings.Split(o.disabled, ",")
	}
	if o.noop("local-address-ip-version") == "v6" {
		m.LocalAddressIpVersion = adminv3.CommandLineOptions_v6
	}
	if o.drainStrategy == "immediate" {
		m.DrainStrategy = adminv3.CommandLineOptions_Immediate
	}
	return m
}
