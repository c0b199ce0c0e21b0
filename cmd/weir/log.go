package main

import (
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

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
	if err != nil {
		return nil, at, fmt.Errorf("--log-path: %w", err)
	}
	return log, at, nil
}
