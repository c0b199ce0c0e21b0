package header

// ID numbers a well-known header name; 0 is any other name.
type ID uint16

// The well-known names. Pseudo-headers come first: they are fields like any
// other here, as in HTTP/2 (RFC 9113 §8.3); the HTTP/1 codec turns the start
// line and Host into them and back.
const (
	Other ID = iota
	IDMethod
	IDScheme
	IDAuthority // ":authority" and "host" are one field (Envoy does the same)
	IDPath
	IDProtocol
	IDStatus
	IDConnection
	IDKeepAlive
	IDProxyConnection
	IDTransferEncoding
	IDTE
	IDTrailer
	IDUpgrade
	IDContentLength
	IDContentType
	IDExpect
	IDDate
	IDServer
	IDVia
	IDCookie
	IDUserAgent
	IDLocation
	IDOrigin
	IDVary
	IDRetryAfter
	IDXForwardedFor
	IDXForwardedProto
	IDXForwardedHost
	IDXRequestID
	IDXEnvoyExternalAddress
	IDXEnvoyInternal
	IDXEnvoyOriginalPath
	IDXEnvoyAttemptCount
	IDXEnvoyUpstreamServiceTime
	IDXEnvoyExpectedRqTimeoutMs
	IDXEnvoyUpstreamRqTimeoutMs
	IDXEnvoyUpstreamRqPerTryTimeoutMs
	IDXEnvoyMaxRetries
	IDXEnvoyRetryOn
	IDXEnvoyRetryGrpcOn
	IDXEnvoyRetriableStatusCodes
	IDXEnvoyRetriableHeaderNames
	IDXEnvoyOverloaded
	IDXEnvoyRatelimited
	IDXEnvoyDecoratorOperation
	IDXEnvoyDownstreamServiceCluster
	IDXEnvoyDownstreamServiceNode
	IDXEnvoyForceTrace
	IDXEnvoyIPTags
	IDXEnvoyUpstreamAltStatName
	IDXEnvoyUpstreamStreamDurationMs
	IDXEnvoyHedgeOnPerTryTimeout
	IDXEnvoyImmediateHealthCheckFail
	IDGrpcStatus
	IDGrpcMessage
	IDGrpcTimeout
	IDAccessControlRequestMethod
	numIDs
)

// Headers has a bit for each ID.
const _ = uint(64 - numIDs)

// wellKnown is indexed by ID.
var wellKnown = [numIDs]string{
	IDMethod: ":method", IDScheme: ":scheme", IDAuthority: ":authority", IDPath: ":path",
	IDProtocol: ":protocol", IDStatus: ":status",
	IDConnection: "connection", IDKeepAlive: "keep-alive", IDProxyConnection: "proxy-connection",
	IDTransferEncoding: "transfer-encoding", IDTE: "te", IDTrailer: "trailer", IDUpgrade: "upgrade",
	IDContentLength: "content-length", IDContentType: "content-type", IDExpect: "expect",
	IDDate: "date", IDServer: "server", IDVia: "via", IDCookie: "cookie", IDUserAgent: "user-agent",
	IDLocation: "location", IDOrigin: "origin", IDVary: "vary", IDRetryAfter: "retry-after",
	IDXForwardedFor: "x-forwarded-for", IDXForwardedProto: "x-forwarded-proto",
	IDXForwardedHost: "x-forwarded-host", IDXRequestID: "x-request-id",
	IDXEnvoyExternalAddress: "x-envoy-external-address", IDXEnvoyInternal: "x-envoy-internal",
	IDXEnvoyOriginalPath: "x-envoy-original-path", IDXEnvoyAttemptCount: "x-envoy-attempt-count",
	IDXEnvoyUpstreamServiceTime:       "x-envoy-upstream-service-time",
	IDXEnvoyExpectedRqTimeoutMs:       "x-envoy-expected-rq-timeout-ms",
	IDXEnvoyUpstreamRqTimeoutMs:       "x-envoy-upstream-rq-timeout-ms",
	IDXEnvoyUpstreamRqPerTryTimeoutMs: "x-envoy-upstream-rq-per-try-timeout-ms",
	IDXEnvoyMaxRetries:                "x-envoy-max-retries",
	IDXEnvoyRetryOn:                   "x-envoy-retry-on",
	IDXEnvoyRetryGrpcOn:               "x-envoy-retry-grpc-on",
	IDXEnvoyRetriableStatusCodes:      "x-envoy-retriable-status-codes",
	IDXEnvoyRetriableHeaderNames:      "x-envoy-retriable-header-names",
	IDXEnvoyOverloaded:                "x-envoy-overloaded",
	IDXEnvoyRatelimited:               "x-envoy-ratelimited",
	IDXEnvoyDecoratorOperation:        "x-envoy-decorator-operation",
	IDXEnvoyDownstreamServiceCluster:  "x-envoy-downstream-service-cluster",
	IDXEnvoyDownstreamServiceNode:     "x-envoy-downstream-service-node",
	IDXEnvoyForceTrace:                "x-envoy-force-trace",
	IDXEnvoyIPTags:                    "x-envoy-ip-tags",
	IDXEnvoyUpstreamAltStatName:       "x-envoy-upstream-alt-stat-name",
	IDXEnvoyUpstreamStreamDurationMs:  "x-envoy-upstream-stream-duration-ms",
	IDXEnvoyHedgeOnPerTryTimeout:      "x-envoy-hedge-on-per-try-timeout",
	IDXEnvoyImmediateHealthCheckFail:  "x-envoy-immediate-health-check-fail",
	IDGrpcStatus:                      "grpc-status", IDGrpcMessage: "grpc-message", IDGrpcTimeout: "grpc-timeout",
	IDAccessControlRequestMethod: "access-control-request-method",
}

// byLength lists the well-known IDs of each name length; made once, never changed.
var byLength = func() (t [64][]ID) {
	for id := Other + 1; id < numIDs; id++ {
		n := len(wellKnown[id])
		t[n] = append(t[n], id)
	}
	t[len("host")] = append(t[len("host")], IDAuthority)
	return t
}()

// Lookup gives the ID of a name in any letter case, Other when it is not
// well-known. "host" is IDAuthority.
func Lookup(name []byte) ID {
	if len(name) >= len(byLength) {
		return Other
	}
	for _, id := range byLength[len(name)] {
		want := wellKnown[id]
		if len(name) == 4 && id == IDAuthority {
			want = "host"
		}
		if EqualFold(name, want) {
			return id
		}
	}
	return Other
}

// EqualFold compares a header name in any letter case with a lower-case one of
// ASCII letters (RFC 9110 §5.1: names are case-insensitive).
func EqualFold(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	// Most names that differ, differ in their last byte.
	for i := len(lower) - 1; i >= 0; i-- {
		if c := name[i]; c != lower[i] && fold[c] != lower[i] {
			return false
		}
	}
	return true
}

// fold maps A–Z to a–z and every other byte to itself.
var fold = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
		if 'A' <= i && i <= 'Z' {
			t[i] = byte(i) + 'a' - 'A'
		}
	}
	return t
}()

// A Name is a header name resolved once, at start or config time. The zero
// Name matches nothing.
type Name struct {
	id    ID
	lower string
}

// Intern resolves a name; letter case does not matter.
func Intern(s string) Name {
	b := []byte(s)
	for i, c := range b {
		b[i] = fold[c]
	}
	id := Lookup(b)
	if id != Other {
		return Name{id, wellKnown[id]}
	}
	return Name{Other, string(b)}
}

// ID gives the name's well-known number, or Other.
func (n Name) ID() ID { return n.id }

// String gives the name in lower case.
func (n Name) String() string { return n.lower }

// The names the data path itself uses.
var (
	Method           = Intern(":method")
	Scheme           = Intern(":scheme")
	Authority        = Intern(":authority")
	Path             = Intern(":path")
	Status           = Intern(":status")
	Protocol         = Intern(":protocol")
	Connection       = Intern("connection")
	KeepAlive        = Intern("keep-alive")
	ProxyConnection  = Intern("proxy-connection")
	TransferEncoding = Intern("transfer-encoding")
	TE               = Intern("te")
	Trailer          = Intern("trailer")
	Upgrade          = Intern("upgrade")
	ContentLength    = Intern("content-length")
	ContentType      = Intern("content-type")
	Expect           = Intern("expect")
	Cookie           = Intern("cookie")
	Date             = Intern("date")
	Server           = Intern("server")
	Via              = Intern("via")
	UserAgent        = Intern("user-agent")
	Location         = Intern("location")
	Origin           = Intern("origin")
	Vary             = Intern("vary")
	XForwardedFor    = Intern("x-forwarded-for")
	XForwardedProto  = Intern("x-forwarded-proto")
	XForwardedHost   = Intern("x-forwarded-host")
	XRequestID       = Intern("x-request-id")
	GrpcStatus       = Intern("grpc-status")
	GrpcMessage      = Intern("grpc-message")
)
