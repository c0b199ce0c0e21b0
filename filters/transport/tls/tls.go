// Package tls is envoy.transport_sockets.tls on both sides: it reads DownstreamTlsContext and UpstreamTlsContext into the models of
// proxy/tlsctx, which does the rest.
package tls

import (
	"fmt"

	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/secret"
	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tlsctx"
)

// Name is Envoy's name of the transport socket, on either side.
const Name = "envoy.transport_sockets.tls"

// Factory is envoy.transport_sockets.tls for listeners.
func Factory() *extension.Factory {
	return filters.NewTransportSocket(Name, parseServer, buildServer)
}

func buildServer(c *tlsctx.ServerConfig, bc *filters.BuildContext) (any, error) {
	scope := bc.Listener
	if scope == nil {
		scope = bc.Stats
	}
	t := tlsctx.NewTally(scope, true)
	return tlsctx.NewServer(c, shown(resolver(bc.Secrets, bc.Keep, bc.Closing), t, scope, bc.WatchSecret, bc.Closing), t)
}

// shown is a resolver that has the statistics of what it finds kept.
func shown(r tlsctx.Resolver, t *tlsctx.Tally, scope *stats.Scope, w watch, done <-chan struct{}) tlsctx.Resolver {
	if w == nil {
		return r
	}
	ssl := scope.Scope("ssl")
	return func(ref *tlsctx.Ref) *secret.Live {
		l := r(ref)
		show(ref, l, ssl, t.Factory.BySDS, w, done)
		return l
	}
}

// resolver finds live secrets: those that come by discovery by their key, those of the context are kept up with their files.
func resolver(named func(string) *secret.Live,
	keep func(*secret.Secret, func() (*secret.Secret, error), <-chan struct{}) *secret.Live, done <-chan struct{},
) tlsctx.Resolver {
	return func(r *tlsctx.Ref) *secret.Live {
		switch {
		case r.Inline == nil && named != nil:
			return named(r.Key)
		case r.Inline == nil || keep == nil || r.Source.Len() == 0:
			return secret.NewLive(r.Inline)
		}
		return keep(r.Inline, func() (*secret.Secret, error) { return again(r) }, done)
	}
}

// again decodes a secret that stands in a context once more, with its files as they are now.
func again(r *tlsctx.Ref) (*secret.Secret, error) {
	var m tlsv3.Secret
	if err := proto.Unmarshal(r.Source.Reveal(), &m); err != nil {
		return nil, fmt.Errorf("decode again: %w", err)
	}
	return secret.Decode(&m, nil)
}
