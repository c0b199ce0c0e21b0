package accesslog

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stream"
)

// The variants of addresses, in op.flag: whose, and which part.
const (
	remote uint8 = iota // who connected, as far as known; the upstream host
	direct              // the socket's peer
	dest                // where the client wanted to go
	bound               // our own end of the socket

	whole    uint8 = 0 << 4
	ipOnly   uint8 = 1 << 4
	portOnly uint8 = 2 << 4

	sideMask, partMask = 0x0f, 0xf0
)

// The variants of headBytes.
const (
	requestHead uint8 = iota
	responseHead
	responseTrailers
)

func appendText[T ~string | ~[]byte](dst []byte, v T) ([]byte, kind) {
	if len(v) == 0 {
		return dst, none
	}
	return append(dst, v...), text
}

func appendNumber(dst []byte, v uint64) ([]byte, kind) { return strconv.AppendUint(dst, v, 10), number }

func appendAddress(dst []byte, a netip.AddrPort, part uint8) ([]byte, kind) {
	if !a.IsValid() {
		return dst, none
	}
	switch a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()); part {
	case ipOnly:
		return a.Addr().AppendTo(dst), text
	case portOnly:
		return appendNumber(dst, uint64(a.Port()))
	}
	return a.AppendTo(dst), text
}

func downstreamAddress(dst []byte, o *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	i := &c.Info
	a := i.Source
	switch o.flag & sideMask {
	case direct:
		a = i.DirectSource
	case dest:
		a = i.Dest
	case bound:
		a = i.Local
	}
	return appendAddress(dst, a, o.flag&partMask)
}

func upstreamAddress(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	host, local := c.Info.UpstreamHost, c.Info.UpstreamLocal
	if s != nil {
		host, local = s.Info.UpstreamHost, s.Info.UpstreamLocal
	}
	if o.flag&sideMask == bound {
		host = local
	}
	return appendAddress(dst, host, o.flag&partMask)
}

func clusterName(dst []byte, _ *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return appendText(dst, c.Info.UpstreamCluster)
	}
	return appendText(dst, s.Info.Cluster)
}

func appendHeader(dst []byte, o *op, h *header.Headers) ([]byte, kind) {
	v, ok := h.Get(o.name)
	if !ok && (o.alt != header.Name{}) {
		v, ok = h.Get(o.alt)
	}
	if !ok {
		return dst, none
	}
	return append(dst, v...), text // an empty value is a value
}

func request(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendHeader(dst, o, &s.Request)
}

func response(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendHeader(dst, o, &s.Response)
}

func trailer(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendHeader(dst, o, &s.ResponseTrailers)
}

func protocol(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil || s.Info.Protocol == info.NoProtocol {
		return dst, none
	}
	return append(dst, s.Info.Protocol.String()...), text
}

func upstreamProtocol(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil || s.Info.UpstreamProtocol == info.NoProtocol {
		return dst, none
	}
	return append(dst, s.Info.UpstreamProtocol.String()...), text
}

// code is 0 when no response was sent (Envoy: RESPONSE_CODE).
func code(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return appendNumber(dst, 0)
	}
	return appendNumber(dst, uint64(max(s.Info.Code, 0)))
}

// details has its white space replaced unless ALLOW_WHITESPACES is asked for.
func details(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	from := len(dst)
	dst, k := appendText(dst, s.Info.Details)
	for i := from; o.flag == 0 && i < len(dst); i++ {
		if c := dst[i]; c == ' ' || '\t' <= c && c <= '\r' {
			dst[i] = '_'
		}
	}
	return dst, k
}

func detailsArg(o *op, args string) error {
	switch args {
	case "":
	case "ALLOW_WHITESPACES":
		o.flag = 1
	default:
		return fmt.Errorf("unknown argument %q, wanted ALLOW_WHITESPACES", args)
	}
	return nil
}

// flags is "-" when there are none, which is a value (Envoy: RESPONSE_FLAGS).
func flags(dst []byte, o *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	f := c.Info.Flags
	if s != nil {
		f = s.Info.Flags
	}
	if o.flag == 1 {
		return f.AppendLong(dst), text
	}
	return f.Append(dst), text
}

func termination(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.Details)
}

func routeName(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendText(dst, s.Info.Route)
}

// logType is the point in time a line is written at; there is one here.
func logType(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return append(dst, "TcpConnectionEnd"...), text
	}
	return append(dst, "DownstreamEnd"...), text
}

func bytesReceived(dst []byte, _ *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return appendNumber(dst, c.Info.BytesReceived)
	}
	return appendNumber(dst, s.Info.BytesReceived)
}

func bytesSent(dst []byte, _ *op, c *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return appendNumber(dst, c.Info.BytesSent)
	}
	return appendNumber(dst, s.Info.BytesSent)
}

func headBytes(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	switch {
	case s == nil:
		return appendNumber(dst, 0)
	case o.flag == requestHead:
		return appendNumber(dst, s.Info.RequestHeaderBytes)
	case o.flag == responseHead:
		return appendNumber(dst, s.Info.ResponseHeaderBytes)
	}
	return appendNumber(dst, uint64(s.ResponseTrailers.Size()))
}

func tlsVersion(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.TLSVersion)
}

func tlsCipher(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.TLSCipher)
}

func serverName(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.ServerName)
}

func ja3(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.JA3)
}

func ja4(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.JA4)
}

func connectionID(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendNumber(dst, c.Info.ID)
}

func listenerName(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.Listener)
}

func chainName(dst []byte, _ *op, c *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, c.Info.FilterChain)
}

func attempts(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return appendNumber(dst, 0)
	}
	return appendNumber(dst, uint64(max(s.Info.Attempts, 0)))
}

func upstreamFailure(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendText(dst, s.Info.UpstreamFailure)
}

// streamID is the request's id.
func streamID(dst []byte, _ *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	return appendText(dst, s.Request.Value(header.XRequestID))
}

// uniqueID is a random UUID of the line (RFC 9562 §5.4).
func uniqueID(dst []byte, _ *op, _ *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	var u [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		u[i], u[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	for i, part := range [...][]byte{u[:4], u[4:6], u[6:8], u[8:10], u[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst, text
}

// constant is what was known when the format was compiled.
func constant(dst []byte, o *op, _ *conn.Conn, _ *stream.Stream) ([]byte, kind) {
	return appendText(dst, o.text)
}

func hostnameArg(o *op, _ string) error {
	name, err := os.Hostname()
	if err == nil { // Envoy: "-" when the name cannot be had
		o.text = name
	}
	return nil
}

func environmentArg(o *op, args string) error {
	o.text = os.Getenv(args)
	return nil
}

func textArg(o *op, args string) error {
	o.text = args
	return nil
}
