package route

import (
	"errors"
	"net/netip"
	"time"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/types/known/anypb"
)

// testRegistry knows one HTTP filter whose per-route configuration is Envoy's
// CorsPolicy; the model is its allow_methods.
func testRegistry() *extension.Registry {
	return extension.NewRegistry([]*extension.Factory{{
		Kind: extension.HTTPFilter, Name: "envoy.filters.http.cors",
		TypeURL:  "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors",
		RouteURL: "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
		Parse:    func(*anypb.Any, *extension.Context) (any, error) { return nil, nil },
		ParseRoute: func(a *anypb.Any, _ *extension.Context) (any, error) {
			var p corsv3.CorsPolicy
			if err := a.UnmarshalTo(&p); err != nil {
				return nil, err
			}
			if p.AllowMethods == "" {
				return nil, &fielderr.Error{Path: "allow_methods", Err: errors.New("empty")}
			}
			return p.AllowMethods, nil
		},
	}})
}

// testVars is a finished request as the operators see it.
func testVars(req *header.Headers) *Vars {
	at := time.Date(2026, 11, 24, 6, 7, 8, 123456789, time.UTC)
	return &Vars{
		Conn: &info.Conn{
			ID: 7, Source: netip.MustParseAddrPort("10.0.0.1:4321"), DirectSource: netip.MustParseAddrPort("10.9.9.9:1"),
			Dest: netip.MustParseAddrPort("[2001:db8::1]:80"), ServerName: []byte("sni.test"), FilterChain: "main",
		},
		Stream: &info.Stream{
			Protocol: info.HTTP11, Start: at, RequestDone: at.Add(12 * time.Millisecond), Cluster: "c", Route: "r",
			UpstreamHost: netip.MustParseAddrPort("10.1.1.1:8080"), Code: 200, Details: "via_upstream", BytesReceived: 3,
			Attempts: 1,
		},
		Request:  req,
		Hostname: "gateway-1",
	}
}
