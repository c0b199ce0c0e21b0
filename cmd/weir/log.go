package main

import (
	"fmt"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/weirproxy/weir/proxy/logging"
)

// The components that log, in Envoy's words.
const (
	logMain   = "main"
	logConfig = "config" // the xDS client
	logAdmin  = "admin"
	logProxy  = "conn_handler" // the data plane
)

// levels are the levels that the flags ask for.
func (o *flags) levels() (*logging.Levels, error) {
	l, err := logging.Parse(o.logLevel)
	if err != nil {
		return nil, logging.Usage("log-level", o.logLevel)
	}
	ls := logging.New(l)
	if o.componentLevel != "" {
		if err := ls.Set(o.componentLevel); err != nil {
			return nil, fmt.Errorf("--component-log-level %q: %w", o.componentLevel, err)
		}
	}
	return ls, nil
}

// newLogger logs to standard error, or to a file.
func newLogger(o *flags) (*zap.Logger, *logging.Levels, error) {
	ls, err := o.levels()
	if err != nil {
		return nil, nil, err
	}
	path := o.logPath
	if path == "" {
		path = "stderr"
	}
	out, _, err := zap.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("--log-path: %w", err)
	}
	cfg := zap.NewProductionEncoderConfig()
	cfg.EncodeTime = zapcore.ISO8601TimeEncoder
	cfg.EncodeLevel = func(l zapcore.Level, enc zapcore.PrimitiveArrayEncoder) { enc.AppendString(logging.Name(l)) }
	enc := zapcore.NewConsoleEncoder(cfg)
	var opts []zap.Option
	if o.logFormat != "" {
		p, err := logging.ParsePattern(o.logFormat, o.logEscaped)
		if err != nil {
			return nil, nil, fmt.Errorf("--log-format %q: %w", o.logFormat, err)
		}
		enc = p.Encoder(time.Now())
		opts = append(opts, zap.WithCaller(p.NeedsCaller()))
	}
	return zap.New(ls.Core(zapcore.NewCore(enc, out, zapcore.DebugLevel-1)), opts...), ls, nil
}
