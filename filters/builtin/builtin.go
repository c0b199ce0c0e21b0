// Package builtin is the table of every extension that the proxy has: what is
// not in it does not exist.
package builtin

import (
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters/accesslog"
	"github.com/weirproxy/weir/filters/accesslog/file"
	alsgrpc "github.com/weirproxy/weir/filters/accesslog/grpc"
	"github.com/weirproxy/weir/filters/accesslog/stream"
	"github.com/weirproxy/weir/filters/http/cors"
	"github.com/weirproxy/weir/filters/http/fault"
	"github.com/weirproxy/weir/filters/http/grpcstats"
	"github.com/weirproxy/weir/filters/http/headermutation"
	"github.com/weirproxy/weir/filters/http/healthcheck"
	"github.com/weirproxy/weir/filters/http/localratelimit"
	"github.com/weirproxy/weir/filters/http/ondemand"
	"github.com/weirproxy/weir/filters/http/rbac"
	"github.com/weirproxy/weir/filters/http/router"
	"github.com/weirproxy/weir/filters/listener/httpinspector"
	"github.com/weirproxy/weir/filters/listener/originaldst"
	"github.com/weirproxy/weir/filters/listener/originalsrc"
	"github.com/weirproxy/weir/filters/listener/proxyprotocol"
	"github.com/weirproxy/weir/filters/listener/tlsinspector"
	"github.com/weirproxy/weir/filters/network/connectionlimit"
	"github.com/weirproxy/weir/filters/network/directresponse"
	"github.com/weirproxy/weir/filters/network/hcm"
	netlocalratelimit "github.com/weirproxy/weir/filters/network/localratelimit"
	netrbac "github.com/weirproxy/weir/filters/network/rbac"
	"github.com/weirproxy/weir/filters/network/tcpproxy"
	"github.com/weirproxy/weir/filters/transport/tls"
)

// Filters lists the factories in the order a connection meets them. Load-balancing
// policies have a table of their own, proxy/upstream/lb.
func Filters() []*extension.Factory {
	return []*extension.Factory{
		// Listener filters.
		proxyprotocol.Factory(),
		originaldst.Factory(),
		originalsrc.Factory(),
		tlsinspector.Factory(),
		httpinspector.Factory(),

		// Transport sockets.
		tls.Factory(),
		tls.UpstreamFactory(),

		// Network filters.
		connectionlimit.Factory(),
		netlocalratelimit.Factory(),
		netrbac.Factory(),
		directresponse.Factory(),
		tcpproxy.Factory(),
		hcm.Factory(),

		// HTTP filters.
		healthcheck.Factory(),
		cors.Factory(),
		rbac.Factory(),
		fault.Factory(),
		grpcstats.Factory(),
		localratelimit.Factory(),
		headermutation.Factory(),
		ondemand.Factory(),
		router.Factory(),

		// Access loggers and their filters.
		accesslog.FilterFactory(),
		file.Factory(),
		stream.StdoutFactory(),
		stream.StderrFactory(),
		alsgrpc.HTTPFactory(),
		alsgrpc.TCPFactory(),
	}
}
