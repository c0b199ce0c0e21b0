package router

import (
	"net/netip"

	"github.com/weirproxy/weir/proxy/info"
)

// tell has those who look at flows know what a try came to that is not delivered.
func (e *exchange) tell(o *outcome) {
	f, i := e.s.Flow, &e.s.Info
	switch {
	case f == nil:
	case o.gone:
		f.Try(i.UpstreamHost, 0, "the client left")
	case o.client != nil:
		f.Try(i.UpstreamHost, 0, "the request broke off")
	case o.err == nil:
		f.Try(i.UpstreamHost, o.code, "status")
	case o.err.Flag.Has(info.NoHealthyUpstream):
		f.Try(netip.AddrPort{}, 0, o.err.Details)
	default:
		f.Try(i.UpstreamHost, 0, replyFor(o.err, o.fired).details)
	}
}
