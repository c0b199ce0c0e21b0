package accesslog

import (
	"fmt"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/stream"
)

// How GRPC_STATUS is written, in op.flag.
const (
	grpcCamel uint8 = iota
	grpcSnake
	grpcNumber
)

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

// grpcStatus is that of a gRPC request: of the trailers, else of the headers,
// else what stands for the HTTP status.
func grpcStatus(dst []byte, o *op, _ *conn.Conn, s *stream.Stream) ([]byte, kind) {
	if s == nil || !grpc.Is(&s.Request) {
		return dst, none
	}
	st, ok := grpc.Of(&s.Response, &s.ResponseTrailers, s.Info.Code)
	switch {
	case !ok:
		return dst, none
	case o.flag == grpcNumber && st != grpc.Invalid:
		return appendNumber(dst, uint64(st))
	case o.flag == grpcSnake:
		return append(dst, st.Snake()...), text
	}
	return append(dst, st.String()...), text
}

// grpcFilter logs by the status of a call (Envoy: GrpcStatusFilter). Requests that
// are not gRPC have a status too: what stands for the HTTP status.
type grpcFilter struct {
	statuses uint32 // a bit for each
	exclude  bool
}

func parseGRPCStatuses(l *fielderr.List, path string, m *accesslogv3.GrpcStatusFilter) Filter {
	f := grpcFilter{exclude: m.GetExclude()}
	for i, s := range m.GetStatuses() {
		if !grpc.Status(s).Known() {
			l.Addf(fielderr.Index(path, i), "unknown value %d", s)
			continue
		}
		f.statuses |= 1 << s
	}
	return f
}

func (f grpcFilter) Logs(_ *conn.Conn, s *stream.Stream) bool {
	st := grpc.Unknown
	if s != nil {
		if got, ok := grpc.Of(&s.Response, &s.ResponseTrailers, s.Info.Code); ok {
			st = got
		}
	}
	return (st.Known() && f.statuses>>st&1 != 0) != f.exclude
}
