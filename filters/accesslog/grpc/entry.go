package grpc

import (
	"net/netip"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	alsdata "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// httpEntry tells of a finished stream. Nothing of it refers to the stream's memory.
func (l *logger) httpEntry(c *conn.Conn, s *stream.Stream) *alsdata.HTTPAccessLogEntry {
	i := &s.Info
	p := connection(c)
	p.AccessLogType = alsdata.AccessLogType_DownstreamEnd
	p.StartTime = timestamp(i.Start)
	p.TimeToLastRxByte = since(i.Start, i.RequestDone)
	p.TimeToFirstUpstreamRxByte, p.TimeToLastUpstreamRxByte = since(i.Start, i.UpstreamFirstByte), since(i.Start, i.UpstreamDone)
	p.TimeToLastDownstreamTxByte = since(i.Start, i.End)
	p.Duration = p.TimeToLastDownstreamTxByte
	p.UpstreamRemoteAddress, p.UpstreamLocalAddress = address(i.UpstreamHost), address(i.UpstreamLocal)
	p.UpstreamCluster, p.RouteName = i.Cluster, i.Route
	p.UpstreamTransportFailureReason = i.UpstreamFailure
	p.UpstreamRequestAttemptCount = uint32(max(i.Attempts, 0))
	p.ResponseFlags = flags(i.Flags)
	p.StreamId = string(s.Request.Value(header.XRequestID))
	e := &alsdata.HTTPAccessLogEntry{
		CommonProperties: p, ProtocolVersion: version(i.Protocol),
		Request: &alsdata.HTTPRequestProperties{
			RequestMethod: method(s.Request.Value(header.Method)), Scheme: value(&s.Request, header.Scheme),
			Authority: value(&s.Request, header.Authority), Path: value(&s.Request, header.Path),
			UserAgent: value(&s.Request, header.UserAgent), Referer: value(&s.Request, referer),
			ForwardedFor: value(&s.Request, header.XForwardedFor), RequestId: p.StreamId,
			OriginalPath:        value(&s.Request, originalPath),
			RequestHeadersBytes: i.RequestHeaderBytes, RequestBodyBytes: i.BytesReceived,
			RequestHeaders: chosen(&s.Request, l.c.request),
		},
		Response: &alsdata.HTTPResponseProperties{
			ResponseHeadersBytes: i.ResponseHeaderBytes, ResponseBodyBytes: i.BytesSent,
			ResponseHeaders: chosen(&s.Response, l.c.response), ResponseTrailers: chosen(&s.ResponseTrailers, l.c.trailers),
			ResponseCodeDetails: i.Details,
		},
	}
	if i.Code > 0 {
		e.Response.ResponseCode = wrapperspb.UInt32(uint32(i.Code))
	}
	return e
}

var (
	referer      = header.Intern("referer")
	originalPath = header.Intern("x-envoy-original-path")
)

// tcpEntry tells of a finished connection.
func tcpEntry(c *conn.Conn) *alsdata.TCPAccessLogEntry {
	i := &c.Info
	p := connection(c)
	p.AccessLogType = alsdata.AccessLogType_TcpConnectionEnd
	p.StartTime, p.Duration = timestamp(i.Start), since(i.Start, i.End)
	p.TimeToLastDownstreamTxByte = p.Duration
	p.UpstreamRemoteAddress, p.UpstreamLocalAddress = address(i.UpstreamHost), address(i.UpstreamLocal)
	p.UpstreamCluster = i.UpstreamCluster
	p.ResponseFlags = flags(i.Flags)
	return &alsdata.TCPAccessLogEntry{CommonProperties: p, ConnectionProperties: &alsdata.ConnectionProperties{
		ReceivedBytes: i.BytesReceived, SentBytes: i.BytesSent,
	}}
}

// connection has what an entry tells of the downstream connection.
func connection(c *conn.Conn) *alsdata.AccessLogCommon {
	i := &c.Info
	return &alsdata.AccessLogCommon{
		DownstreamRemoteAddress: address(i.Source), DownstreamLocalAddress: address(i.Dest), DownstreamDirectRemoteAddress: address(i.DirectSource),
		TlsProperties: tlsOf(i), ConnectionTerminationDetails: i.Details, DownstreamTransportFailureReason: i.TLSFailure,
	}
}

func tlsOf(i *info.Conn) *alsdata.TLSProperties {
	if i.TLSVersion == "" {
		return nil
	}
	t := &alsdata.TLSProperties{
		TlsVersion: tlsVersions[i.TLSVersion], TlsSniHostname: string(i.ServerName), TlsSessionId: i.TLSSessionID, Ja3Fingerprint: i.JA3,
		LocalCertificateProperties: certificate(i.LocalCertificate), PeerCertificateProperties: certificate(i.PeerCertificate),
	}
	return t
}

var tlsVersions = map[string]alsdata.TLSProperties_TLSVersion{
	"TLSv1.2": alsdata.TLSProperties_TLSv1_2, "TLSv1.3": alsdata.TLSProperties_TLSv1_3,
}

func certificate(c *info.Certificate) *alsdata.TLSProperties_CertificateProperties {
	if c == nil {
		return nil
	}
	p := &alsdata.TLSProperties_CertificateProperties{Subject: c.Subject, Issuer: c.Issuer}
	for _, u := range c.URIs {
		p.SubjectAltName = append(p.SubjectAltName, &alsdata.TLSProperties_CertificateProperties_SubjectAltName{
			San: &alsdata.TLSProperties_CertificateProperties_SubjectAltName_Uri{Uri: u},
		})
	}
	for _, n := range c.DNSNames {
		p.SubjectAltName = append(p.SubjectAltName, &alsdata.TLSProperties_CertificateProperties_SubjectAltName{
			San: &alsdata.TLSProperties_CertificateProperties_SubjectAltName_Dns{Dns: n},
		})
	}
	return p
}

func value(h *header.Headers, n header.Name) string { return string(h.Value(n)) }

// chosen gives the headers to log besides; those that occur more than once are joined.
func chosen(h *header.Headers, names []header.Name) map[string]string {
	var out map[string]string
	for _, n := range names {
		if v, _, ok := h.Joined(n, nil); ok {
			if out == nil {
				out = map[string]string{}
			}
			out[n.String()] = string(v)
		}
	}
	return out
}

func method(m []byte) corev3.RequestMethod {
	return corev3.RequestMethod(corev3.RequestMethod_value[string(m)]) // zero is METHOD_UNSPECIFIED
}

func version(p info.Protocol) alsdata.HTTPAccessLogEntry_HTTPVersion {
	switch p {
	case info.HTTP10:
		return alsdata.HTTPAccessLogEntry_HTTP10
	case info.HTTP11:
		return alsdata.HTTPAccessLogEntry_HTTP11
	case info.HTTP2:
		return alsdata.HTTPAccessLogEntry_HTTP2
	case info.HTTP3:
		return alsdata.HTTPAccessLogEntry_HTTP3
	}
	return alsdata.HTTPAccessLogEntry_PROTOCOL_UNSPECIFIED
}

func address(a netip.AddrPort) *corev3.Address {
	if !a.IsValid() {
		return nil
	}
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: a.Addr().Unmap().String(), PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// since is nil when the moment never came.
func since(start, t time.Time) *durationpb.Duration {
	if start.IsZero() || t.Before(start) {
		return nil
	}
	return durationpb.New(t.Sub(start))
}

// flags spells the response flags as the proto does.
func flags(f info.Flags) *alsdata.ResponseFlags {
	if f == 0 {
		return nil
	}
	r := &alsdata.ResponseFlags{}
	for _, x := range [...]struct {
		flag info.Flags
		set  *bool
	}{
		{info.FailedLocalHealthCheck, &r.FailedLocalHealthcheck},
		{info.NoHealthyUpstream, &r.NoHealthyUpstream},
		{info.UpstreamRequestTimeout, &r.UpstreamRequestTimeout},
		{info.LocalReset, &r.LocalReset},
		{info.UpstreamRemoteReset, &r.UpstreamRemoteReset},
		{info.UpstreamConnectionFailure, &r.UpstreamConnectionFailure},
		{info.UpstreamConnectionTermination, &r.UpstreamConnectionTermination},
		{info.UpstreamOverflow, &r.UpstreamOverflow},
		{info.NoRoute, &r.NoRouteFound},
		{info.DelayInjected, &r.DelayInjected},
		{info.FaultInjected, &r.FaultInjected},
		{info.RateLimited, &r.RateLimited},
		{info.RateLimitServiceError, &r.RateLimitServiceError},
		{info.DownstreamConnectionTermination, &r.DownstreamConnectionTermination},
		{info.UpstreamRetryLimitExceeded, &r.UpstreamRetryLimitExceeded},
		{info.StreamIdleTimeout, &r.StreamIdleTimeout},
		{info.InvalidEnvoyRequestHeaders, &r.InvalidEnvoyRequestHeaders},
		{info.DownstreamProtocolError, &r.DownstreamProtocolError},
		{info.UpstreamMaxStreamDuration, &r.UpstreamMaxStreamDurationReached},
		{info.ResponseFromCache, &r.ResponseFromCacheFilter},
		{info.NoFilterConfig, &r.NoFilterConfigFound},
		{info.DurationTimeout, &r.DurationTimeout},
		{info.UpstreamProtocolError, &r.UpstreamProtocolError},
		{info.NoClusterFound, &r.NoClusterFound},
		{info.OverloadManager, &r.OverloadManager},
		{info.DNSResolutionFailure, &r.DnsResolutionFailure},
		{info.DownstreamRemoteReset, &r.DownstreamRemoteReset},
	} {
		*x.set = f.Has(x.flag)
	}
	if f.Has(info.UnauthorizedExternalService) {
		r.UnauthorizedDetails = &alsdata.ResponseFlags_Unauthorized{Reason: alsdata.ResponseFlags_Unauthorized_EXTERNAL_SERVICE}
	}
	return r
}
