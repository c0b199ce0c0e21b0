package router

import (
	"fmt"
	"os"

	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
)

// Factory is envoy.filters.http.router.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.router", parse, build, filters.Terminating())
}

type settings struct {
	suppressHeaders bool         // suppress_envoy_headers
	useRetry        *runtime.Key // the share of requests that may be tried again
	backOff         *runtime.Key // the base interval of who does not set one, in milliseconds
}

func parse(m *routerv3.Router, ctx *extension.Context) (settings, error) {
	if m.RespectExpectedRqTimeout {
		return settings{}, fmt.Errorf("respect_expected_rq_timeout: not supported")
	}
	return settings{
		suppressHeaders: m.SuppressEnvoyHeaders,
		useRetry:        ctx.Runtime.Key("upstream.use_retry"), backOff: ctx.Runtime.Key("upstream.base_retry_backoff_ms"),
	}, nil
}

func build(c settings, bc *filters.BuildContext) (any, error) {
	name, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("host name: %w", err)
	}
	c.suppressHeaders = c.suppressHeaders || bc.Transparent
	f := &filter{cfg: c, clusters: bc.Clusters, log: bc.Log, hostname: name}
	if bc.HTTP != nil {
		f.stats = stats.Fill[Stats](bc.HTTP)
	}
	return f, nil
}
