package xds

import (
	"slices"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
)

// receivedDelta takes in a response of the incremental protocol: what changed, and what was removed. What it does not name is as it
// was.
func (s *Session) receivedDelta(w ReceivedDelta) {
	if w.Response == nil {
		return
	}
	t, r := s.hear(w.Source, w.Response.GetTypeUrl(), w.Response.GetNonce(), w.Response.GetControlPlane(), true)
	if t == nil {
		return
	}
	r.version = w.Response.GetSystemVersionInfo()
	r.items = make([]item, 0, len(w.Response.GetResources()))
	for _, a := range w.Response.GetResources() {
		var it item
		it.err = it.open(a)
		r.items = append(r.items, it)
	}
	r.removed = slices.Clone(w.Response.GetRemovedResources())
	for _, n := range w.Response.GetRemovedResourceNames() {
		r.removed = append(r.removed, n.GetName())
	}
	s.errorsOf(t, r, w.Response.GetResourceErrors())
	s.enqueue(t, r)
}

// requestDelta sends the answers that are owed, each with the nonce of its response, and what changed in the subscription with the
// first of them. Without an answer there is no nonce (DeltaDiscoveryRequest.response_nonce).
//
// The first request of a stream names everything that is wanted, and the versions that are here: the server sends what differs. For
// a type of which everything is wanted it names nothing, which is a wildcard as long as no name was ever sent; with names, "*" says
// so.
func (s *Session) requestDelta(t *typeState, c *sourceState, names []string) {
	r := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.url, Node: s.node(c)}
	r.ResourceNamesSubscribe, r.ResourceNamesUnsubscribe = diff(t.names, names)
	if !t.asked {
		if t.wild && len(names) > 0 {
			r.ResourceNamesSubscribe = append([]string{"*"}, r.ResourceNamesSubscribe...)
		}
		r.InitialResourceVersions = s.versions(t, names)
	}
	for i, o := range t.owed {
		if i > 0 {
			r = &discoveryv3.DeltaDiscoveryRequest{TypeUrl: t.url, Node: s.node(c)}
		}
		r.ResponseNonce, r.ErrorDetail = o.nonce, o.detail()
		s.do(SendDelta{t.source, r})
	}
	if len(t.owed) == 0 {
		s.do(SendDelta{t.source, r})
	}
}

// versions are those of the resources that are here and asked for.
func (s *Session) versions(t *typeState, names []string) map[string]string {
	out := map[string]string{}
	for name, o := range t.slots {
		if o.want == nil || o.want.Static || o.version == "" {
			continue
		}
		if _, asked := slices.BinarySearch(names, name); asked || t.wild {
			out[name] = o.version
		}
	}
	return out
}

// diff tells what is new and what is missing in the second of two sorted lists.
func diff(old, now []string) (added, gone []string) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(old) == 0 || len(now) > 0 && now[0] < old[0]:
			added, now = append(added, now[0]), now[1:]
		case len(now) == 0 || old[0] < now[0]:
			gone, old = append(gone, old[0]), old[1:]
		default:
			old, now = old[1:], now[1:]
		}
	}
	return added, gone
}
