package server

import (
	"context"
	"sync"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/sotw/v3"
)

// answers follows what was sent on every stream, to tell which version an answer is about.
type answers struct {
	o Options

	mu    sync.Mutex
	sent  map[sentKey]sent     // guarded by mu
	nodes map[streamKey]string // guarded by mu: only the first request of a stream has a node
}

type streamKey struct {
	id    int64
	delta bool
}

type sentKey struct {
	streamKey
	typeURL string
}

type sent struct {
	nonce, version string
	answered       bool
}

var (
	_ sotw.Callbacks  = (*answers)(nil)
	_ delta.Callbacks = (*answers)(nil)
)

func newAnswers(o Options) *answers {
	return &answers{o: o, sent: map[sentKey]sent{}, nodes: map[streamKey]string{}}
}

// The methods below are the callbacks of the two protocol variants (sotw.Callbacks, delta.Callbacks).

func (a *answers) OnStreamOpen(_ context.Context, id int64, _ string) error {
	a.stream(id, true)
	return nil
}

func (a *answers) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	a.stream(id, true)
	return nil
}

func (a *answers) OnStreamClosed(id int64, _ *corev3.Node) {
	a.forget(streamKey{id, false})
	a.stream(id, false)
}

func (a *answers) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	a.forget(streamKey{id, true})
	a.stream(id, false)
}

func (a *answers) OnStreamResponse(_ context.Context, id int64, _ *discoveryv3.DiscoveryRequest, r *discoveryv3.DiscoveryResponse) {
	a.record(sentKey{streamKey{id, false}, r.GetTypeUrl()}, sent{nonce: r.GetNonce(), version: r.GetVersionInfo()})
}

func (a *answers) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, r *discoveryv3.DeltaDiscoveryResponse) {
	a.record(sentKey{streamKey{id, true}, r.GetTypeUrl()}, sent{nonce: r.GetNonce(), version: r.GetSystemVersionInfo()})
}

func (a *answers) stream(id int64, open bool) {
	if a.o.OnStream != nil {
		a.o.OnStream(id, open)
	}
}

func (a *answers) record(k sentKey, s sent) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[k] = s
}

func (a *answers) forget(s streamKey) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.nodes, s)
	for k := range a.sent {
		if k.streamKey == s {
			delete(a.sent, k)
		}
	}
}

// about finds what a request answers. A later request with the same nonce only changes a subscription: it is no other answer.
func (a *answers) about(k sentKey, node *corev3.Node, nonce, text string) (x Answer, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if node.GetId() != "" {
		a.nodes[k.streamKey] = node.GetId()
	}
	s, ok := a.sent[k]
	if !ok || s.answered || nonce == "" || s.nonce != nonce {
		return Answer{}, false
	}
	s.answered = true
	a.sent[k] = s
	return Answer{
		Stream: k.id, Delta: k.delta, Node: a.nodes[k.streamKey], TypeURL: k.typeURL, Version: s.version, Nonce: nonce, Err: text,
	}, true
}

// OnStreamRequest tells of an answer.
func (a *answers) OnStreamRequest(id int64, r *discoveryv3.DiscoveryRequest) error {
	x, ok := a.about(sentKey{streamKey{id, false}, r.GetTypeUrl()}, r.GetNode(), r.GetResponseNonce(), r.GetErrorDetail().GetMessage())
	if !ok {
		return nil
	}
	if r.GetErrorDetail() != nil {
		// A NACK names the version before. The cache would take that for a client that is behind and send the refused version
		// again, at once and for ever. It is sent again when it changes.
		r.VersionInfo = x.Version
	}
	a.tell(x)
	return nil
}

// OnStreamDeltaRequest tells of an answer.
func (a *answers) OnStreamDeltaRequest(id int64, r *discoveryv3.DeltaDiscoveryRequest) error {
	x, ok := a.about(sentKey{streamKey{id, true}, r.GetTypeUrl()}, r.GetNode(), r.GetResponseNonce(), r.GetErrorDetail().GetMessage())
	if ok {
		a.tell(x)
	}
	return nil
}

func (a *answers) tell(x Answer) {
	if a.o.OnAnswer != nil {
		a.o.OnAnswer(x)
	}
}
