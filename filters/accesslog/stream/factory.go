// Package stream is envoy.access_loggers.stdout and envoy.access_loggers.stderr.
package stream

import (
	"errors"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	streamv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/stream/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/accesslog"
)

// The paths that stand for our own streams; whoever opens files knows them.
const (
	stdoutPath = "/dev/stdout"
	stderrPath = "/dev/stderr"
)

// StdoutFactory is envoy.access_loggers.stdout.
func StdoutFactory() *extension.Factory {
	parse := func(m *streamv3.StdoutAccessLog, _ *extension.Context) (*accesslog.Format, error) {
		return parseFormat(m.GetLogFormat())
	}
	return filters.NewAccessLogger("envoy.access_loggers.stdout", parse, buildTo(stdoutPath))
}

// StderrFactory is envoy.access_loggers.stderr.
func StderrFactory() *extension.Factory {
	parse := func(m *streamv3.StderrAccessLog, _ *extension.Context) (*accesslog.Format, error) {
		return parseFormat(m.GetLogFormat())
	}
	return filters.NewAccessLogger("envoy.access_loggers.stderr", parse, buildTo(stderrPath))
}

func parseFormat(m *corev3.SubstitutionFormatString) (*accesslog.Format, error) {
	f, err := accesslog.ParseFormat(m, accesslog.Default)
	if err != nil {
		var l fielderr.List
		l.Add("log_format", err)
		return nil, l.Err()
	}
	return f, nil
}

func buildTo(path string) func(*accesslog.Format, *filters.BuildContext) (any, error) {
	return func(f *accesslog.Format, bc *filters.BuildContext) (any, error) {
		if bc.Loggers == nil {
			return nil, errors.New("access log files cannot be opened here")
		}
		to, err := bc.Loggers(path)
		if err != nil {
			return nil, err
		}
		return accesslog.NewLogger(f, to), nil
	}
}
