package xds

import (
	"slices"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
)

// sourceState is one stream or file, now.
type sourceState struct {
	Source
	connected bool
	since     time.Time // of connected, or of its loss
	nodeSent  bool      // on this stream
	epoch     uint64    // counts streams: an answer to a lost one is not sent on the next
	failures  int       // since the last response: the exponent of the back-off
	server    string    // ControlPlane.identifier of the last response
	err       string    // why the last stream ended, or the file was refused
	opened    bool      // for references that name it: see open
}

func (c *sourceState) timer() string { return "reconnect " + c.Name }

// connected opens the conversation: one request per type, each with the version that was accepted last (xDS protocol: resuming
// after a reconnect), no nonce, and the node once.
func (s *Session) connected(i int) {
	c := s.source(i)
	if c == nil || c.connected {
		return
	}
	c.connected, c.since, c.nodeSent, c.err = true, s.now, false, ""
	c.epoch++
	s.log(Info, "%s: connected", c.Name)
	for _, t := range s.served(i) {
		if t.wild && !t.heard && t.answered { // it was given up, and may come now
			t.answered = false
			if t.fetch > 0 {
				s.do(StartTimer{fetchTimer(t), t.fetch})
			}
		}
		s.request(t)
	}
}

// lost ends a stream: what it brought keeps serving. The next try waits a random share of an interval that doubles (Envoy:
// JitteredExponentialBackOffStrategy).
func (s *Session) lost(w StreamLost) {
	c := s.source(w.Source)
	if c == nil || c.File {
		return
	}
	if c.connected {
		c.since = s.now
	}
	c.connected, c.err = false, "closed by the server"
	if w.Err != nil {
		c.err = w.Err.Error()
	}
	base, interval := s.o.RetryBase, s.o.RetryMax
	if c.RetryBase > 0 {
		base, interval = c.RetryBase, max(c.RetryMax, c.RetryBase)
	}
	if n := c.failures; n < 30 && base<<n < interval {
		interval = base << n
	}
	c.failures++
	wait := max(time.Duration(float64(interval)*min(max(w.Jitter, 0), 1)), time.Millisecond)
	s.log(Warn, "%s: %s; next try in %v", c.Name, c.err, wait.Round(time.Millisecond))
	held := false
	for _, t := range s.served(w.Source) {
		s.release(t)
		t.nonce, t.asked, t.starred, t.names, t.owed = "", false, false, nil, nil
		t.fail()
		if t.k == cds && !t.answered { // listeners need not wait for an answer that is not coming soon
			t.answered, held = true, true
			if t.fetch > 0 {
				s.do(StopTimer{fetchTimer(t)})
			}
		}
	}
	s.do(StartTimer{c.timer(), wait})
	if held {
		s.settle()
	}
}

// request sends what a type has to say, if anything: an answer that is owed, or a changed subscription. Both are one message:
// names, the last accepted version, the last nonce, and the errors of a NACK.
func (s *Session) request(t *typeState) {
	c := s.source(t.source)
	if c != nil && c.File {
		s.reread(t)
		return
	}
	if c == nil || !c.connected || len(t.queue) > 0 {
		return // what is being decoded is answered in its turn, and the answer carries the names
	}
	names := s.interest(t)
	switch {
	case !t.asked && !t.wild && len(names) == 0:
		return // an empty first request would be a wildcard
	case t.asked && slices.Equal(names, t.names) && (len(t.owed) == 0 || t.held):
		return
	}
	s.release(t)
	if !t.asked {
		t.counters.Attempt++
	}
	if c.Delta {
		s.requestDelta(t, c, names)
	} else {
		r := &discoveryv3.DiscoveryRequest{
			TypeUrl: t.url, ResourceNames: t.wanted(names), VersionInfo: t.version, ResponseNonce: t.nonce, Node: s.node(c),
		}
		for _, o := range t.owed {
			r.ErrorDetail = o.detail()
		}
		s.do(Send{t.source, r})
	}
	t.owed, t.asked, t.names = nil, true, names
}

// wanted are the resource_names of a SotW request. None are a wildcard as long as none was ever sent on the stream; "*" always is.
func (t *typeState) wanted(names []string) []string {
	if t.starred = t.wild && (t.starred || len(names) > 0); t.starred {
		return append([]string{"*"}, names...)
	}
	return names
}

// detail is what a NACK says, nil for an ACK.
func (o owed) detail() *statuspb.Status {
	if o.text == "" {
		return nil
	}
	return &statuspb.Status{Code: int32(codes.InvalidArgument), Message: o.text}
}

// release lets go of answers that were held back.
func (s *Session) release(t *typeState) {
	if t.held {
		t.held = false
		s.do(StopTimer{nackTimer(t)})
	}
}

// node gives the node for the next request on a stream.
func (s *Session) node(c *sourceState) *corev3.Node {
	if c.nodeSent && !c.NodeAlways {
		return nil
	}
	c.nodeSent = true
	return s.o.Node
}

func (s *Session) source(i int) *sourceState {
	if i < 0 || i >= len(s.sources) {
		return nil
	}
	return s.sources[i]
}
