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

	mu   sync.Mutex
	sent map[sentKey]sent // guarded by mu
}

type sentKey struct {
	stream  int64
	delta   bool
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

func newAnswers(o Options) *answers { return &answers{o: o, sent: map[sentKey]sent{}} }

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
	a.forget(id, false)
	a.stream(id, false)
}

func (a *answers) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	a.forget(id, true)
	a.stream(id, false)
}

func (a *answers) OnStreamResponse(_ context.Context, id int64, _ *discoveryv3.DiscoveryRequest, r *discoveryv3.DiscoveryResponse) {
	a.record(sentKey{id, false, r.GetTypeUrl()}, sent{nonce: r.GetNonce(), version: r.GetVersionInfo()})
}

func (a *answers) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, r *discoveryv3.DeltaDiscoveryResponse) {
	a.record(sentKey{id, true, r.GetTypeUrl()}, sent{nonce: r.GetNonce(), version: r.GetSystemVersionInfo()})
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

func (a *answers) forget(stream int64, delta bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for k := range a.sent {
		if k.stream == stream && k.delta == delta {
			delete(a.sent, k)
		}
	}
}

// about finds the response that a nonce answers. A later request with the same nonce only changes a subscription: it is no other
// answer.
func (a *answers) about(k sentKey, nonce string) (s sent, first bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.sent[k]
	if !ok || nonce == "" || s.nonce != nonce {
		return sent{}, false
	}
	first = !s.answered
	s.answered = true
	a.sent[k] = s
	return s, first
}

func (a *answers) OnStreamRequest(id int64, r *discoveryv3.DiscoveryRequest) error {
	s, first := a.about(sentKey{id, false, r.GetTypeUrl()}, r.GetResponseNonce())
	if !first {
		return nil
	}
	a.answer(Answer{
		Stream: id, Node: r.GetNode().GetId(), TypeURL: r.GetTypeUrl(), Version: s.version, Nonce: s.nonce,
		Err: r.GetErrorDetail().GetMessage(),
	})
	if r.GetErrorDetail() != nil {
		// A NACK names the version before. The cache would take that for a client that is behind and send the refused version
		// again, at once and for ever. It is sent again when it changes.
		r.VersionInfo = s.version
	}
	return nil
}

func (a *answers) OnStreamDeltaRequest(id int64, r *discoveryv3.DeltaDiscoveryRequest) error {
	s, first := a.about(sentKey{id, true, r.GetTypeUrl()}, r.GetResponseNonce())
	if !first {
		return nil
	}
	a.answer(Answer{
		Stream: id, Node: r.GetNode().GetId(), Delta: true, TypeURL: r.GetTypeUrl(), Version: s.version, Nonce: s.nonce,
		Err: r.GetErrorDetail().GetMessage(),
	})
	return nil
}

func (a *answers) answer(x Answer) {
	if a.o.OnAnswer != nil {
		a.o.OnAnswer(x)
	}
}
