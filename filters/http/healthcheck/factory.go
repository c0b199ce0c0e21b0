package healthcheck

import (
	healthv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/health_check/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/filters"
)

// Factory is envoy.filters.http.health_check.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.health_check", parse, build)
}

type settings struct {
	passThrough bool
	headers     []match.Header
}

func parse(m *healthv3.HealthCheck, _ *extension.Context) (settings, error) {
	var l fielderr.List
	c := settings{passThrough: m.GetPassThroughMode().GetValue()}
	if m.PassThroughMode == nil {
		l.Addf("pass_through_mode", "unset")
	}
	if !c.passThrough && m.GetCacheTime().AsDuration() > 0 {
		l.Addf("cache_time", "cache_time_ms must not be set when path_through_mode is disabled") // Envoy's words
	}
	var err error
	c.headers, err = match.NewHeaders("headers", m.Headers)
	l.Add("", err)
	return c, l.Err()
}

func build(c settings, bc *filters.BuildContext) (any, error) {
	f := &filter{passThrough: c.passThrough, headers: c.headers, draining: bc.Draining}
	if f.draining == nil {
		f.draining = func() bool { return false }
	}
	return f, nil
}
