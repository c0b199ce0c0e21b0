package fault

import (
	"cmp"
	"math"

	commonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/common/fault/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/stats"
)

// Factory is envoy.filters.http.fault.
func Factory() *extension.Factory {
	return filters.NewHTTP("envoy.filters.http.fault", parse, build, filters.PerRoute(parse))
}

func build(c *settings, bc *filters.BuildContext) (any, error) {
	return &filter{
		name: bc.Name, cfg: c,
		stats:  stats.Fill[Stats](bc.HTTP.Scope("fault")),
		faulty: filters.NewSlot[bool](bc),
	}, nil
}

func parse(m *faultv3.HTTPFault, ctx *extension.Context) (*settings, error) {
	var l fielderr.List
	c := &settings{cluster: m.UpstreamCluster, nodes: m.DownstreamNodes, maxActive: math.MaxInt64}
	if m.MaxActiveFaults != nil {
		c.maxActive = int64(m.MaxActiveFaults.Value)
	}
	key := func(name, def string) *runtime.Key { return ctx.Key(cmp.Or(name, def)) }
	c.maxKey = key(m.MaxActiveFaultsRuntime, "fault.http.max_active_faults")
	c.delay.share.key = key(m.DelayPercentRuntime, "fault.http.delay.fixed_delay_percent")
	c.delay.key = key(m.DelayDurationRuntime, "fault.http.delay.fixed_duration_ms")
	c.abort.share.key = key(m.AbortPercentRuntime, "fault.http.abort.abort_percent")
	c.abort.key = key(m.AbortHttpStatusRuntime, "fault.http.abort.http_status")
	c.abort.keyGRPC = key(m.AbortGrpcStatusRuntime, "fault.http.abort.grpc_status")
	var err error
	c.headers, err = match.NewHeaders("headers", m.Headers)
	l.Add("", err)
	parseDelay(&l, &c.delay, m.Delay)
	parseAbort(&l, &c.abort, m.Abort)
	if m.ResponseRateLimit != nil {
		l.Addf("response_rate_limit", "not supported")
	}
	return c, l.Err()
}

func parseDelay(l *fielderr.List, d *delay, m *commonv3.FaultDelay) {
	if m == nil {
		return
	}
	d.share.set(l, "delay.percentage", m.Percentage)
	switch x := m.FaultDelaySecifier.(type) {
	case *commonv3.FaultDelay_FixedDelay:
		d.fixed = l.PositiveDuration("delay.fixed_delay", x.FixedDelay, 0)
	case *commonv3.FaultDelay_HeaderDelay_:
		d.fromHeader = true
	default:
		l.Addf("delay", "unset (one of fixed_delay, header_delay)")
	}
}

func parseAbort(l *fielderr.List, a *abort, m *faultv3.FaultAbort) {
	if m == nil {
		return
	}
	a.fixedGRPC = grpc.Invalid
	a.share.set(l, "abort.percentage", m.Percentage)
	switch x := m.ErrorType.(type) {
	case *faultv3.FaultAbort_HttpStatus:
		if a.fixed = int(x.HttpStatus); a.fixed < 200 || a.fixed > 599 {
			l.Addf("abort.http_status", "%d is not between 200 and 599", x.HttpStatus)
		}
	case *faultv3.FaultAbort_HeaderAbort_:
		a.fromHeader = true
	case *faultv3.FaultAbort_GrpcStatus:
		if a.fixedGRPC = grpc.Status(x.GrpcStatus); !a.fixedGRPC.Known() {
			l.Addf("abort.grpc_status", "unknown value %d", x.GrpcStatus)
		}
		a.fixed = a.fixedGRPC.HTTP()
	default:
		l.Addf("abort", "unset (one of http_status, grpc_status, header_abort)")
	}
}

// set takes a percentage; unset is none.
func (p *share) set(l *fielderr.List, path string, m *typev3.FractionalPercent) {
	p.num, p.den, p.salt = uint64(m.GetNumerator()), 100, match.Salt("fault."+path)
	switch m.GetDenominator() {
	case typev3.FractionalPercent_HUNDRED:
	case typev3.FractionalPercent_TEN_THOUSAND:
		p.den = 10_000
	case typev3.FractionalPercent_MILLION:
		p.den = 1_000_000
	default:
		l.Addf(path+".denominator", "unknown value %d", m.GetDenominator())
	}
}
