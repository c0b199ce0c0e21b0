package main

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// flags are Envoy's command line options, and ours. Those of Envoy's that mean
// nothing here are accepted and do nothing; docs/cli.md says which.
type flags struct {
	configPath, configYAML                   string
	mode, logLevel, logPath                  string
	concurrency                              int
	serviceNode, serviceCluster, serviceZone string
	drainTime                                uint
	drainStrategy                            string
	adminAddressPath                         string
	rejectUnknownDynamic, ignoreUnknown      bool
	intercept                                interceptFlags
	interceptOn                              string
}

func (o *flags) add(f *pflag.FlagSet) {
	f.StringVarP(&o.configPath, "config-path", "c", "", "bootstrap file, YAML or JSON")
	f.StringVar(&o.configYAML, "config-yaml", "", "bootstrap as text, merged over the file")
	f.StringVar(&o.mode, "mode", "serve", "serve, or validate: check the configuration and exit")
	f.StringVarP(&o.logLevel, "log-level", "l", "info", "trace, debug, info, warning, error, critical, off")
	f.StringVar(&o.logPath, "log-path", "", "file for the log; standard error when not given")
	f.IntVar(&o.concurrency, "concurrency", 0, "threads that serve; default: the processors there are")
	f.StringVar(&o.serviceNode, "service-node", "", "node.id")
	f.StringVar(&o.serviceCluster, "service-cluster", "", "node.cluster")
	f.StringVar(&o.serviceZone, "service-zone", "", "node.locality.zone")
	f.UintVar(&o.drainTime, "drain-time-s", 600, "seconds that connections may go on when draining")
	f.StringVar(&o.drainStrategy, "drain-strategy", "gradual", "gradual or immediate")
	f.StringVar(&o.adminAddressPath, "admin-address-path", "", "file to write the admin address to")
	f.BoolVar(&o.rejectUnknownDynamic, "reject-unknown-dynamic-fields", false, "refuse dynamic resources with unsupported fields")
	f.BoolVar(&o.ignoreUnknown, "ignore-unknown-dynamic-fields", false, "no effect: unsupported dynamic fields are listed and counted unless refused")
	o.intercept.add(f)
	f.StringVar(&o.interceptOn, "intercept", "", "take traffic with rules that live as long as this process; the value is the destination ports, e.g. 80,443 or all")
	o.noops(f)
}

// noops are options of Envoy's that are taken and have no effect.
func (o *flags) noops(f *pflag.FlagSet) {
	for _, name := range []string{
		"component-log-level", "log-format", "local-address-ip-version", "base-id", "base-id-path", "restart-epoch",
		"parent-shutdown-time-s", "file-flush-interval-msec", "file-flush-min-size-kb", "socket-path", "socket-mode",
		"disable-extensions", "stats-tag", "max-obj-name-len", "max-stats",
	} {
		f.StringArray(name, nil, "accepted, no effect here")
	}
	for _, name := range []string{
		"log-format-escaped", "log-stacktrace-single-entry", "enable-fine-grain-logging", "skip-deprecated-logs", "cpuset-threads",
		"use-dynamic-base-id", "disable-hot-restart", "skip-hot-restart-on-no-parent", "skip-hot-restart-parent-stats",
		"allow-unknown-fields", "allow-unknown-static-fields", "enable-core-dump", "enable-mutex-tracing",
	} {
		f.Bool(name, false, "accepted, no effect here")
	}
}

func (o *flags) check() error {
	if o.mode != "serve" && o.mode != "validate" {
		return fmt.Errorf("--mode %q: want serve or validate", o.mode)
	}
	if o.drainStrategy != "gradual" && o.drainStrategy != "immediate" {
		return fmt.Errorf("--drain-strategy %q: want gradual or immediate", o.drainStrategy)
	}
	return nil
}

func (o *flags) drain() time.Duration { return time.Duration(o.drainTime) * time.Second }

// level maps Envoy's names of log levels.
func level(name string) (zapcore.Level, error) {
	switch name {
	case "trace", "debug":
		return zap.DebugLevel, nil
	case "info":
		return zap.InfoLevel, nil
	case "warning", "warn":
		return zap.WarnLevel, nil
	case "error":
		return zap.ErrorLevel, nil
	case "critical":
		return zap.DPanicLevel, nil
	case "off":
		return zap.FatalLevel + 1, nil
	}
	return 0, fmt.Errorf("--log-level %q: want trace, debug, info, warning, error, critical or off", name)
}

// newLogger logs to standard error, or to a file.
func newLogger(o *flags) (*zap.Logger, zap.AtomicLevel, error) {
	l, err := level(o.logLevel)
	if err != nil {
		return nil, zap.AtomicLevel{}, err
	}
	at := zap.NewAtomicLevelAt(l)
	cfg := zap.NewProductionConfig()
	cfg.Level, cfg.Encoding, cfg.Sampling = at, "console", nil
	cfg.DisableStacktrace, cfg.DisableCaller = true, true
	cfg.EncoderConfig.EncodeTime = zapcore.ISO8601TimeEncoder
	cfg.EncoderConfig.EncodeLevel = zapcore.LowercaseLevelEncoder
	if o.logPath != "" {
		cfg.OutputPaths = []string{o.logPath}
	}
	log, err := cfg.Build()
	return log, at, err
}
