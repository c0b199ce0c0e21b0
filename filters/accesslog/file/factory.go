// Package file is envoy.access_loggers.file, and the files that access loggers
// share: one writer for each path, which never makes a request wait.
package file

import (
	"errors"

	filev3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/file/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/filters/accesslog"
)

// Factory is envoy.access_loggers.file.
func Factory() *extension.Factory {
	return filters.NewAccessLogger("envoy.access_loggers.file", parse, build)
}

type settings struct {
	path   string
	format *accesslog.Format
}

func parse(m *filev3.FileAccessLog, _ *extension.Context) (settings, error) {
	var l fielderr.List
	c := settings{path: m.Path}
	if m.Path == "" {
		l.Addf("path", "unset")
	}
	switch m.AccessLogFormat.(type) {
	case nil, *filev3.FileAccessLog_LogFormat:
	default:
		l.Addf("access_log_format", "format, json_format and typed_json_format are not supported (use log_format)")
	}
	var err error
	c.format, err = accesslog.ParseFormat(m.GetLogFormat(), accesslog.Default)
	l.Add("log_format", err)
	return c, l.Err()
}

func build(c settings, bc *filters.BuildContext) (any, error) {
	if bc.Loggers == nil {
		return nil, errors.New("access log files cannot be opened here")
	}
	to, err := bc.Loggers(c.path)
	if err != nil {
		return nil, err
	}
	return accesslog.NewLogger(c.format, to), nil
}
