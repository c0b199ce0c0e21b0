package accesslog

import (
	"math/rand/v2"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// A Filter decides what is logged.
type Filter = filters.LogFilter

// FilterFactory is envoy.config.accesslog.v3.AccessLogFilter: the filters of all
// access logs, whoever writes them.
func FilterFactory() *extension.Factory {
	return filters.NewAccessLogFilter("envoy.config.accesslog.v3.AccessLogFilter",
		ParseFilter)
}

// ParseFilter compiles a filter and everything below it; without a filter it
// gives nil, which stands for "log everything".
func ParseFilter(m *accesslogv3.AccessLogFilter, ctx *extension.Context) (Filter, error) {
	if m == nil {
		return nil, nil
	}
	var l fielderr.List
	f := parseFilter(&l, "", m, ctx)
	if err := l.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

func parseFilter(l *fielderr.List, path string, m *accesslogv3.AccessLogFilter, ctx *extension.Context) Filter {
	at := func(field string) string { return fielderr.Join(path, field) }
	switch f := m.GetFilterSpecifier().(type) {
	case *accesslogv3.AccessLogFilter_StatusCodeFilter:
		return statusFilter{parseComparison(l, at("status_code_filter.comparison"), f.StatusCodeFilter.GetComparison(), ctx)}
	case *accesslogv3.AccessLogFilter_DurationFilter:
		return durationFilter{parseComparison(l, at("duration_filter.comparison"), f.DurationFilter.GetComparison(), ctx)}
	case *accesslogv3.AccessLogFilter_NotHealthCheckFilter:
		return notHealthCheck{}
	case *accesslogv3.AccessLogFilter_AndFilter:
		return andFilter(parseFilters(l, at("and_filter.filters"), f.AndFilter.GetFilters(), ctx))
	case *accesslogv3.AccessLogFilter_OrFilter:
		return orFilter(parseFilters(l, at("or_filter.filters"), f.OrFilter.GetFilters(), ctx))
	case *accesslogv3.AccessLogFilter_HeaderFilter:
		h, err := match.NewHeader(f.HeaderFilter.GetHeader())
		l.Add(at("header_filter.header"), err)
		return &headerFilter{h}
	case *accesslogv3.AccessLogFilter_ResponseFlagFilter:
		return parseFlags(l, at("response_flag_filter.flags"), f.ResponseFlagFilter.GetFlags())
	case *accesslogv3.AccessLogFilter_RuntimeFilter:
		return parseRuntime(l, at("runtime_filter"), f.RuntimeFilter, ctx)
	case *accesslogv3.AccessLogFilter_GrpcStatusFilter:
		return parseGRPCStatuses(l, at("grpc_status_filter.statuses"), f.GrpcStatusFilter)
	case *accesslogv3.AccessLogFilter_TraceableFilter, *accesslogv3.AccessLogFilter_ExtensionFilter,
		*accesslogv3.AccessLogFilter_MetadataFilter, *accesslogv3.AccessLogFilter_LogTypeFilter:
		return anything{} // the support table refuses them, and lists those of a control plane
	default:
		l.Addf(at("filter_specifier"), "unset")
	}
	return nil
}

func parseFilters(l *fielderr.List, path string, ms []*accesslogv3.AccessLogFilter, ctx *extension.Context) []Filter {
	if len(ms) < 2 {
		l.Addf(path, "%d filters, wanted at least 2", len(ms))
	}
	out := make([]Filter, len(ms))
	for i, m := range ms {
		out[i] = parseFilter(l, fielderr.Index(path, i), m, ctx)
	}
	return out
}

// comparison is a ComparisonFilter.
type comparison struct {
	op   accesslogv3.ComparisonFilter_Op
	than uint32
	key  *runtime.Key // of than
}

func parseComparison(l *fielderr.List, path string, m *accesslogv3.ComparisonFilter, ctx *extension.Context) comparison {
	if m.GetValue() == nil {
		l.Addf(fielderr.Join(path, "value"), "unset")
	}
	if _, known := accesslogv3.ComparisonFilter_Op_name[int32(m.GetOp())]; !known {
		l.Addf(fielderr.Join(path, "op"), "unknown value %d", m.GetOp())
	}
	return comparison{m.GetOp(), m.GetValue().GetDefaultValue(), ctx.Key(m.GetValue().GetRuntimeKey())}
}

func (c comparison) holds(v uint64) bool {
	than := uint64(c.key.Uint32(c.than))
	switch c.op {
	case accesslogv3.ComparisonFilter_GE:
		return v >= than
	case accesslogv3.ComparisonFilter_LE:
		return v <= than
	case accesslogv3.ComparisonFilter_NE:
		return v != than
	}
	return v == than
}

// statusFilter compares the response code; 0 when there was no response.
type statusFilter struct{ c comparison }

func (f statusFilter) Logs(_ *conn.Conn, s *stream.Stream) bool {
	if s == nil {
		return f.c.holds(0)
	}
	return f.c.holds(uint64(s.Info.Code))
}

// durationFilter compares whole milliseconds.
type durationFilter struct{ c comparison }

func (f durationFilter) Logs(c *conn.Conn, s *stream.Stream) bool {
	from, to := lifetime(c, s)
	return !from.IsZero() && !to.IsZero() && f.c.holds(uint64(max(to.Sub(from), 0)/time.Millisecond))
}

// anything stands for a filter that is not implemented: what it is asked about is logged rather than lost.
type anything struct{}

func (anything) Logs(*conn.Conn, *stream.Stream) bool { return true }

// notHealthCheck leaves out what the health_check filter saw.
type notHealthCheck struct{}

func (notHealthCheck) Logs(_ *conn.Conn, s *stream.Stream) bool {
	return s == nil || !s.Info.HealthCheck
}

type andFilter []Filter

func (l andFilter) Logs(c *conn.Conn, s *stream.Stream) bool {
	for _, f := range l {
		if !f.Logs(c, s) {
			return false
		}
	}
	return true
}

type orFilter []Filter

func (l orFilter) Logs(c *conn.Conn, s *stream.Stream) bool {
	for _, f := range l {
		if f.Logs(c, s) {
			return true
		}
	}
	return false
}

// headerFilter looks at the request's fields; a connection has none.
type headerFilter struct{ h match.Header }

func (f *headerFilter) Logs(_ *conn.Conn, s *stream.Stream) bool {
	if s == nil {
		return f.h.Match(new(header.Headers), nil, nil)
	}
	return f.h.Match(&s.Request, nil, nil)
}

// flagFilter wants any of the flags.
type flagFilter info.Flags

func parseFlags(l *fielderr.List, path string, names []string) Filter {
	if len(names) == 0 {
		return flagFilter(^info.Flags(0)) // Envoy: any flag
	}
	var set info.Flags
	for i, n := range names {
		f, ok := info.ParseFlag(n)
		if !ok {
			l.Addf(fielderr.Index(path, i), "%q is not a response flag", n)
		}
		set |= f
	}
	return flagFilter(set)
}

func (f flagFilter) Logs(c *conn.Conn, s *stream.Stream) bool {
	flags := c.Info.Flags
	if s != nil {
		flags = s.Info.Flags
	}
	return flags.Has(info.Flags(f))
}

// runtimeFilter logs a share: the same requests wherever the request id is the
// same, or any (use_independent_randomness).
type runtimeFilter struct {
	share       match.Fraction
	independent bool
}

func parseRuntime(l *fielderr.List, path string, m *accesslogv3.RuntimeFilter, ctx *extension.Context) Filter {
	f := runtimeFilter{independent: m.GetUseIndependentRandomness()}
	if m.GetPercentSampled() != nil { // unset is 0
		var err error
		f.share, err = match.NewFraction(m.PercentSampled, "access_log.runtime_filter")
		l.Add(fielderr.Join(path, "percent_sampled"), err)
	} else {
		f.share = match.NewShare("access_log.runtime_filter")
	}
	f.share = f.share.WithKey(ctx.Key(m.GetRuntimeKey()))
	return f
}

func (f runtimeFilter) Logs(c *conn.Conn, s *stream.Stream) bool {
	switch {
	case f.independent:
		return f.share.Hit(rand.Uint64())
	case s == nil:
		return f.share.Hit(c.Info.ID)
	}
	return f.share.Hit(s.Rand())
}

// lifetime is when a stream, or the connection, began and ended.
func lifetime(c *conn.Conn, s *stream.Stream) (from, to time.Time) {
	if s == nil {
		return c.Info.Start, c.Info.End
	}
	return s.Info.Start, s.Info.End
}
