package router

import (
	"testing"
	"time"

	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stream"
)

// TestBoundsOfGRPC is what Envoy 1.40 does with the same routes: how long a gRPC
// request may take, and what its server is told.
func TestBoundsOfGRPC(t *testing.T) {
	const s = time.Second
	hdr := route.Timeouts{OfStream: true, GrpcTimeoutHeaderSet: true, GrpcTimeoutHeaderMax: 3 * s, GrpcTimeoutHeaderOffs: 200 * time.Millisecond}
	old := route.Timeouts{Route: 5 * s, MaxGrpcSet: true, MaxGrpc: 3 * s, GrpcOffset: 200 * time.Millisecond}
	for _, c := range []struct {
		name       string
		of         route.Timeouts
		hcm        time.Duration
		plain      bool   // not gRPC
		asked      string // grpc-timeout of the request
		route, max time.Duration
		told       string // grpc-timeout of the request upstream
	}{
		{"nothing", route.Timeouts{Route: 15 * s}, 0, false, "9S", 15 * s, 0, "9S"},
		{"nothing, under the connection manager's", route.Timeouts{Route: 15 * s}, 7 * s, false, "9S", 15 * s, 7 * s, "9S"},
		{"duration", route.Timeouts{OfStream: true, MaxStreamSet: true, MaxStreamDuration: 10 * s}, 0, false, "", 0, 10 * s, "10000m"},
		{"duration over a header", route.Timeouts{OfStream: true, MaxStreamSet: true, MaxStreamDuration: 10 * s}, 0, false, "2S", 0, 10 * s, "10000m"},
		{"duration, not gRPC", route.Timeouts{OfStream: true, MaxStreamSet: true, MaxStreamDuration: 10 * s}, 0, true, "", 0, 10 * s, ""},
		{"duration lifted", route.Timeouts{OfStream: true, MaxStreamSet: true}, 7 * s, false, "2S", 0, 0, ""},
		{"empty", route.Timeouts{OfStream: true}, 0, false, "", 0, 0, ""},
		{"empty with a header", route.Timeouts{OfStream: true}, 0, false, "2S", 0, 0, "2S"},
		{"empty, under the connection manager's", route.Timeouts{OfStream: true}, 7 * s, false, "2S", 0, 7 * s, "7000m"},
		{"header", hdr, 0, false, "2S", 0, 1800 * time.Millisecond, "1800m"},
		{"header over the maximum", hdr, 0, false, "9S", 0, 2800 * time.Millisecond, "2800m"},
		{"header below the offset", hdr, 0, false, "100m", 0, -1, "0m"},
		{"header missing", hdr, 0, false, "", 0, 0, ""},
		{"header malformed", hdr, 7 * s, false, "2s", 0, 7 * s, "7000m"},
		{"header, not gRPC", hdr, 0, true, "2S", 0, 1800 * time.Millisecond, "2S"},
		{"header without a maximum", route.Timeouts{OfStream: true, GrpcTimeoutHeaderSet: true}, 7 * s, false, "9S", 0, 9 * s, "9000m"},
		{"deprecated", old, 0, false, "2S", 1800 * time.Millisecond, 0, "1800m"},
		{"deprecated, over the maximum", old, 0, false, "9S", 3 * s, 0, "3000m"},
		{"deprecated, below the offset", old, 0, false, "100m", 100 * time.Millisecond, 0, "100m"},
		{"deprecated, without a header", old, 0, false, "", 3 * s, 0, "3000m"},
		{"deprecated, not gRPC", old, 0, true, "2S", 5 * s, 0, "2S"},
		{"deprecated, for ever", route.Timeouts{Route: 5 * s, MaxGrpcSet: true}, 0, false, "", 0, 0, ""},
	} {
		st := stream.New(stream.NewChain(nil, new(stream.Slots), nil))
		st.Info.Start = time.Now()
		if c.hcm > 0 {
			st.MaxDeadline = st.Info.Start.Add(c.hcm)
		}
		if !c.plain {
			st.Request.AddString(header.ContentType, "application/grpc")
		}
		if c.asked != "" {
			st.Request.AddString(grpcTimeout, c.asked)
		}
		var b bounds
		b.set(st, &route.Forward{Timeouts: c.of})
		got := time.Duration(0)
		if !b.max.IsZero() {
			if got = b.max.Sub(st.Info.Start); got == 0 {
				got = -1
			}
		}
		if told := string(st.Request.Value(grpcTimeout)); b.route != c.route || got != c.max || told != c.told {
			t.Errorf("%s: route %v, max %v, told %q, want %v, %v, %q", c.name, b.route, got, told, c.route, c.max, c.told)
		}
	}
}
