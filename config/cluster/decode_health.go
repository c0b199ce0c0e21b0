package cluster

import (
	"encoding/hex"
	"math"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/durationpb"
)

const defaultNoTraffic = time.Minute

// decodeHealth compiles health_checks: none or one, as in Envoy.
func decodeHealth(l *fielderr.List, d *Cluster, checks []*corev3.HealthCheck) {
	if len(checks) == 0 {
		return
	}
	if len(checks) > 1 {
		l.Addf("health_checks", "%d of them, one is supported", len(checks))
		return
	}
	if d.Type == OriginalDestination {
		l.Addf("health_checks", "not valid for a cluster of type ORIGINAL_DST")
		return
	}
	at, p := "health_checks[0]", checks[0]
	h := &HealthCheck{
		Timeout:               required(l, at+".timeout", p.GetTimeout()),
		Interval:              required(l, at+".interval", p.GetInterval()),
		InitialJitter:         l.Duration(at+".initial_jitter", p.GetInitialJitter(), 0),
		IntervalJitter:        l.Duration(at+".interval_jitter", p.GetIntervalJitter(), 0),
		IntervalJitterPercent: p.GetIntervalJitterPercent(),
		NoTraffic:             l.PositiveDuration(at+".no_traffic_interval", p.GetNoTrafficInterval(), defaultNoTraffic),
		Reuse:                 fielderr.Bool(p.GetReuseConnection(), true),
		ALPN:                  p.GetTlsOptions().GetAlpnProtocols(),
		AlwaysLogFailures:     p.GetAlwaysLogHealthCheckFailures(),
		AlwaysLogSuccesses:    p.GetAlwaysLogHealthCheckSuccess(),
	}
	h.NoTrafficHealthy = l.PositiveDuration(at+".no_traffic_healthy_interval", p.GetNoTrafficHealthyInterval(), h.NoTraffic)
	h.Unhealthy = l.PositiveDuration(at+".unhealthy_interval", p.GetUnhealthyInterval(), h.Interval)
	h.UnhealthyEdge = l.PositiveDuration(at+".unhealthy_edge_interval", p.GetUnhealthyEdgeInterval(), h.Unhealthy)
	h.HealthyEdge = l.PositiveDuration(at+".healthy_edge_interval", p.GetHealthyEdgeInterval(), h.Interval)
	for _, t := range [...]struct {
		name string
		to   *uint32
		set  bool
		is   uint32
	}{
		{"unhealthy_threshold", &h.UnhealthyThreshold, p.GetUnhealthyThreshold() != nil, p.GetUnhealthyThreshold().GetValue()},
		{"healthy_threshold", &h.HealthyThreshold, p.GetHealthyThreshold() != nil, p.GetHealthyThreshold().GetValue()},
	} {
		if !t.set {
			l.Addf(at+"."+t.name, "unset")
		}
		*t.to = max(t.is, 1)
	}
	h.AltPort = port(l, at+".alt_port", p.GetAltPort().GetValue())
	if p.GetTransportSocketMatchCriteria() != nil {
		l.Addf(at+".transport_socket_match_criteria", "not supported")
	}
	switch c := p.GetHealthChecker().(type) {
	case *corev3.HealthCheck_HttpHealthCheck_:
		h.HTTP = httpCheck(l, at+".http_health_check", c.HttpHealthCheck)
	case *corev3.HealthCheck_TcpHealthCheck_:
		h.TCP = tcpCheck(l, at+".tcp_health_check", c.TcpHealthCheck)
	case *corev3.HealthCheck_GrpcHealthCheck_:
		if d.HTTP.Protocol == HTTP1 {
			l.Addf(at+".grpc_health_check", "the cluster does not speak HTTP/2")
		}
		h.GRPC = &GRPCCheck{
			Service: c.GrpcHealthCheck.GetServiceName(), Authority: c.GrpcHealthCheck.GetAuthority(),
			Metadata: checkHeaders(l, at+".grpc_health_check.initial_metadata", c.GrpcHealthCheck.GetInitialMetadata()),
		}
		checkText(l, at+".grpc_health_check.authority", h.GRPC.Authority)
	case *corev3.HealthCheck_CustomHealthCheck_:
		l.Addf(at+".custom_health_check", "not supported")
	default:
		l.Addf(at+".health_checker", "unset")
	}
	d.Health = h
}

func required(l *fielderr.List, at string, d *durationpb.Duration) time.Duration {
	if d == nil {
		l.Addf(at, "unset")
		return time.Second
	}
	return l.PositiveDuration(at, d, time.Second)
}

func port(l *fielderr.List, at string, n uint32) uint16 {
	if n > math.MaxUint16 {
		l.Addf(at, "%d is not a port", n)
		return 0
	}
	return uint16(n)
}

// statusRanges checks what Envoy does: 100 to 599, and something in between.
func statusRanges(l *fielderr.List, at string, rs []*typev3.Int64Range) []StatusRange {
	var out []StatusRange
	for i, r := range rs {
		if r.GetStart() < 100 || r.GetEnd() > 600 || r.GetStart() >= r.GetEnd() {
			l.Addf(fielderr.Index(at, i), "[%d, %d) is not within [100, 600) or empty", r.GetStart(), r.GetEnd())
		}
		out = append(out, StatusRange{r.GetStart(), r.GetEnd()})
	}
	return out
}

func httpCheck(l *fielderr.List, at string, p *corev3.HealthCheck_HttpHealthCheck) *HTTPCheck {
	d := &HTTPCheck{
		Host: p.GetHost(), Path: p.GetPath(), Method: "GET", Remove: p.GetRequestHeadersToRemove(),
		Add:      checkHeaders(l, at+".request_headers_to_add", p.GetRequestHeadersToAdd()),
		Expected: statusRanges(l, at+".expected_statuses", p.GetExpectedStatuses()), Retriable: statusRanges(l, at+".retriable_statuses", p.GetRetriableStatuses()),
	}
	if len(d.Expected) == 0 {
		d.Expected = []StatusRange{{200, 201}}
	}
	if d.Path == "" {
		l.Addf(at+".path", "empty")
	}
	if strings.ContainsAny(d.Path, " #") {
		l.Addf(at+".path", "%q has a space or a #", d.Path)
	}
	checkText(l, at+".path", d.Path)
	checkText(l, at+".host", d.Host)
	for i, name := range d.Remove {
		if strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
			l.Addf(fielderr.Index(at+".request_headers_to_remove", i), "%q cannot be removed", name)
		}
	}
	switch m := p.GetMethod(); m {
	case corev3.RequestMethod_METHOD_UNSPECIFIED:
	case corev3.RequestMethod_CONNECT:
		l.Addf(at+".method", "CONNECT is not valid")
	default:
		d.Method = m.String()
	}
	switch p.GetCodecClientType() {
	case typev3.CodecClientType_HTTP1:
	case typev3.CodecClientType_HTTP2:
		d.HTTP2 = true
	default:
		l.Addf(at+".codec_client_type", "%s is not supported", p.GetCodecClientType())
	}
	if p.GetSend() != nil {
		d.Send = payload(l, at+".send", p.GetSend())
	}
	d.Receive = payloads(l, at+".receive", p.GetReceive())
	d.BodyLimit = defaultBodyLimit
	if n := p.GetResponseBufferSize(); n != nil {
		d.BodyLimit = int(min(n.GetValue(), 1<<20))
	}
	for _, f := range [...]struct {
		name string
		set  bool
	}{
		{"use_alpn_protocol", p.GetUseAlpnProtocol()},
		{"service_name_matcher", p.GetServiceNameMatcher() != nil},
	} {
		if f.set {
			l.Addf(at+"."+f.name, "not supported")
		}
	}
	return d
}

func tcpCheck(l *fielderr.List, at string, p *corev3.HealthCheck_TcpHealthCheck) *TCPCheck {
	if p.GetProxyProtocolConfig() != nil {
		l.Addf(at+".proxy_protocol_config", "not supported")
	}
	d := &TCPCheck{}
	if p.GetSend() != nil {
		d.Send = payload(l, at+".send", p.GetSend())
	}
	d.Receive = payloads(l, at+".receive", p.GetReceive())
	return d
}

// payload reads bytes: text is hexadecimal (Envoy: HealthCheck.Payload).
// defaultBodyLimit is how much of a body is looked at (Envoy: HttpHealthCheck.response_buffer_size).
const defaultBodyLimit = 1024

func payloads(l *fielderr.List, at string, ps []*corev3.HealthCheck_Payload) [][]byte {
	var out [][]byte
	for i, p := range ps {
		out = append(out, payload(l, fielderr.Index(at, i), p))
	}
	return out
}

func payload(l *fielderr.List, at string, p *corev3.HealthCheck_Payload) []byte {
	b := p.GetBinary()
	if _, ok := p.GetPayload().(*corev3.HealthCheck_Payload_Text); ok {
		var err error
		if b, err = hex.DecodeString(p.GetText()); err != nil {
			l.Addf(at+".text", "not hexadecimal")
			return nil
		}
	}
	if len(b) == 0 {
		l.Addf(at, "empty")
	}
	return b
}

func checkHeaders(l *fielderr.List, at string, hs []*corev3.HeaderValueOption) []CheckHeader {
	var out []CheckHeader
	for i, o := range hs {
		at := fielderr.Index(at, i)
		d := CheckHeader{Name: strings.ToLower(o.GetHeader().GetKey()), Value: o.GetHeader().GetValue()}
		if o.GetHeader().GetValue() == "" {
			d.Value = string(o.GetHeader().GetRawValue())
		}
		switch {
		case d.Name == "":
			l.Addf(at+".header.key", "empty")
		case strings.HasPrefix(d.Name, ":"), strings.ContainsAny(d.Name, " \t\r\n\x00:"):
			l.Addf(at+".header.key", "%q cannot be set", d.Name)
		}
		if strings.Contains(strings.ReplaceAll(d.Value, "%%", ""), "%") {
			l.Addf(at+".header.value", "command operators are not supported in health checks")
		}
		d.Value = strings.ReplaceAll(d.Value, "%%", "%")
		checkText(l, at+".header.value", d.Value)
		switch {
		case o.GetAppendAction() == corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD, o.GetAppend() != nil && !o.GetAppend().GetValue():
			d.Overwrite = true
		case o.GetAppendAction() != corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD:
			l.Addf(at+".append_action", "%s is not supported in health checks", o.GetAppendAction())
		}
		out = append(out, d)
	}
	return out
}

// checkText refuses what would end a line of a request.
func checkText(l *fielderr.List, at, s string) {
	if strings.ContainsAny(s, "\r\n\x00") {
		l.Addf(at, "has a line break or NUL")
	}
}

func endpointCheck(l *fielderr.List, at string, p *endpointv3.Endpoint_HealthCheckConfig) *EndpointCheck {
	if p == nil {
		return nil
	}
	if p.GetAddress() != nil {
		l.Addf(at+".address", "not supported, port_value is")
	}
	checkText(l, at+".hostname", p.GetHostname())
	return &EndpointCheck{Port: port(l, at+".port_value", p.GetPortValue()), Hostname: p.GetHostname(), Disabled: p.GetDisableActiveHealthCheck()}
}
