package accesslog

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// How GRPC_STATUS is written, in op.flag.
const (
	grpcCamel uint8 = iota
	grpcSnake
	grpcNumber
)

// grpcNames are the status codes' names, camel and snake case
// (https://grpc.io/docs/guides/status-codes; Envoy spells Canceled with one l).
var grpcNames = [...][2]string{
	{"OK", "OK"},
	{"Canceled", "CANCELLED"},
	{"Unknown", "UNKNOWN"},
	{"InvalidArgument", "INVALID_ARGUMENT"},
	{"DeadlineExceeded", "DEADLINE_EXCEEDED"},
	{"NotFound", "NOT_FOUND"},
	{"AlreadyExists", "ALREADY_EXISTS"},
	{"PermissionDenied", "PERMISSION_DENIED"},
	{"ResourceExhausted", "RESOURCE_EXHAUSTED"},
	{"FailedPrecondition", "FAILED_PRECONDITION"},
	{"Aborted", "ABORTED"},
	{"OutOfRange", "OUT_OF_RANGE"},
	{"Unimplemented", "UNIMPLEMENTED"},
	{"Internal", "INTERNAL"},
	{"Unavailable", "UNAVAILABLE"},
	{"DataLoss", "DATA_LOSS"},
	{"Unauthenticated", "UNAUTHENTICATED"},
}

func grpcArg(o *op, args string) error {
	switch args {
	case "", "CAMEL_STRING":
	case "SNAKE_STRING":
		o.flag = grpcSnake
	case "NUMBER":
		o.flag = grpcNumber
	default:
		return fmt.Errorf("unknown format %q (one of CAMEL_STRING, SNAKE_STRING, NUMBER)", args)
	}
	return nil
}

var grpcType = []byte("application/grpc")

// grpcStatus is that of a gRPC request: of the trailers, else of the headers,
// else what stands for the HTTP status.
func grpcStatus(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil {
		return dst, none
	}
	ct := s.Request.Value(header.ContentType)
	if !bytes.HasPrefix(ct, grpcType) || len(ct) > len(grpcType) && ct[len(grpcType)] != '+' && ct[len(grpcType)] != ';' {
		return dst, none
	}
	v, ok := s.ResponseTrailers.Get(header.GrpcStatus)
	if !ok {
		v, ok = s.Response.Get(header.GrpcStatus)
	}
	n := -1
	switch {
	case ok:
		if d, err := strconv.Atoi(string(v)); err == nil && d >= 0 {
			n = d
		}
	case s.Info.Code == 0:
		return dst, none
	default:
		n = grpcOfHTTP(s.Info.Code)
	}
	switch {
	case n < 0:
		return append(dst, "InvalidCode"...), text
	case o.flag == grpcNumber:
		return appendNumber(dst, uint64(n))
	case n >= len(grpcNames):
		return strconv.AppendInt(dst, int64(n), 10), text
	}
	return append(dst, grpcNames[n][o.flag]...), text
}

// grpcOfHTTP maps a status as gRPC clients do
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md).
func grpcOfHTTP(code int) int {
	switch code {
	case 400:
		return 13 // Internal
	case 401:
		return 16 // Unauthenticated
	case 403:
		return 7 // PermissionDenied
	case 404:
		return 12 // Unimplemented
	case 429, 502, 503, 504:
		return 14 // Unavailable
	}
	return 2 // Unknown
}
