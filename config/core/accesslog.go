package core

import (
	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

// An AccessLog is one configured access logger and when it is asked.
type AccessLog struct {
	extension.Parsed
	Filter *extension.Parsed // nil logs everything
}

// DecodeAccessLogs reads the access logs of a listener, a TCP proxy or a connection manager. It records what is wrong.
func DecodeAccessLogs(l *fielderr.List, path string, logs []*accesslogv3.AccessLog, ctx *extension.Context) []AccessLog {
	var out []AccessLog
	for i, p := range logs {
		at := fielderr.Index(path, i)
		before := l.Len()
		var d AccessLog
		var there bool
		d.Parsed, there = Parse(l, at, extension.AccessLogger, p.GetName(), p.GetTypedConfig(), ctx)
		if p.GetFilter() != nil {
			d.Filter = decodeLogFilter(l, at+".filter", p.GetFilter(), ctx)
		}
		if there && l.Len() == before {
			out = append(out, d)
		}
	}
	return out
}

// decodeLogFilter hands a filter to the factory of its message: filters look at streams, of which configuration knows nothing.
func decodeLogFilter(l *fielderr.List, path string, m *accesslogv3.AccessLogFilter, ctx *extension.Context) *extension.Parsed {
	a, err := anypb.New(m)
	if err != nil {
		l.Add(path, err)
		return nil
	}
	f, ok := ctx.Registry.ByType(extension.AccessLogFilter, a.TypeUrl)
	if !ok {
		l.Addf(path, "not supported")
		return nil
	}
	c, err := f.Parse(a, ctx)
	if err != nil {
		l.Add(path, err)
		return nil
	}
	return &extension.Parsed{Name: f.Name, Factory: f, Config: c}
}
