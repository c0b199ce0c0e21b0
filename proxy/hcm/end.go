package hcm

import (
	"time"

	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// An arrival is what is to be known of a request's head besides its fields,
// whichever codec read it.
type arrival struct {
	version         info.Protocol
	size            int  // bytes of the head
	noBody          bool // the request ends with its head
	head            bool // its response has no body
	connect, expect bool
	upgrade         bool // it has an Upgrade field that counts
}

// begin counts a request whose first byte is in.
func (m *Manager) begin(s *stream.Stream, ofCodec *stats.Counter) {
	m.stats.RqTotal.Inc()
	ofCodec.Inc()
	m.stats.RqActive.Inc()
	s.Conn.Info.Requests++
	s.Info.ID = s.Conn.Info.Requests
}

// adopt takes over what the codec found in the head.
func (m *Manager) adopt(s *stream.Stream, a *arrival) {
	h := &s.Request
	i := &s.Info
	i.Protocol = a.version
	i.RequestHeaderBytes = uint64(a.size)
	s.Method, s.Path, s.Authority = h.Value(header.Method), h.Value(header.Path), h.Value(header.Authority)
	s.NoBody, s.HeadRequest = a.noBody, a.head
	s.TLS = s.Conn.Info.TLSVersion != ""
	s.Idle = m.cfg.StreamIdle
	if m.cfg.RequestTimeout > 0 {
		s.RequestDeadline = i.Start.Add(m.cfg.RequestTimeout)
	}
	if m.cfg.MaxStreamDuration > 0 {
		s.MaxDeadline = i.Start.Add(m.cfg.MaxStreamDuration)
	}
	s.NoteCallDeadline()
	switch {
	case a.connect:
		s.UpgradeType = connectType
	case a.upgrade:
		s.UpgradeType = h.Value(header.Upgrade)
	}
}

var connectType = []byte("connect")

// unanswered deals with a chain that gave up before the response was whole.
func (m *Manager) unanswered(s *stream.Stream, err error) {
	if s.Ended() {
		return
	}
	s.MustClose()
	if !s.Replied() && err == nil && !s.Info.Flags.Has(info.DownstreamConnectionTermination|info.DownstreamRemoteReset|info.DownstreamProtocolError) {
		s.Reply(500, 0, "no_response_from_filters", "")
	}
}

// cluster names the cluster of a request that a filter answered: its route's, as if it
// had come to the router (Envoy: the cluster of the route is noted before the filters).
func cluster(s *stream.Stream) {
	if s.Info.Cluster != "" {
		return
	}
	if r := s.Route(); r != nil && r.Forward != nil {
		s.Info.Cluster, _, _ = r.Forward.Pick(s.RouteRequest(), 0, false, nil)
	}
}

// upgraded tells whether the response is a yes to an upgrade, or to CONNECT.
func upgraded(s *stream.Stream) bool {
	return s.UpgradeType != nil && (s.Info.Code == 101 || string(s.UpgradeType) == "connect" && s.Info.Code/100 == 2)
}

// end records a stream that is over, whatever way it ended.
func (m *Manager) end(s *stream.Stream) {
	i, st := &s.Info, m.stats
	i.End = time.Now()
	s.End()
	if s.Flow == nil {
		m.track(s) // it did not come as far as that
	}
	if i.Flags != 0 && s.Conn.Killed() {
		i.Details = flows.Killed
	}
	s.Flow.End(i)
	if s.Replied() && upgraded(s) {
		st.CxUpgradesActive.Dec()
	}
	st.RqActive.Dec()
	st.RqCompleted.Inc()
	if i.Code > 0 {
		st.class(i.Code).Inc()
	}
	if m.below != nil {
		m.below.count(i.Code)
	}
	st.RqTime.Record(uint64(i.End.Sub(i.Start).Milliseconds()))
	switch {
	case i.Flags.Has(info.DownstreamConnectionTermination | info.DownstreamRemoteReset):
		st.RqRxReset.Inc()
		if i.Protocol != info.HTTP2 {
			st.CxDestroyActiveRq.Inc()
			st.CxDestroyRemoteRq.Inc()
		}
	case i.Flags.Has(info.StreamIdleTimeout):
		st.RqIdleTimeout.Inc()
	}
	if i.NameCheck != info.NameUnchecked {
		if i.NameCheck == info.NameUnknown {
			i.NameCheck, _ = s.Conn.NameCheck(s.NameAsked, true) // looked up meanwhile
		}
		if i.NameCheck == info.NameMismatch {
			m.stats.RqNameMismatch.Inc()
		}
	}
	if i.Code >= 400 {
		st.reason(i.Details)
	}
	for _, l := range m.loggers {
		l.Log(s.Conn, s)
	}
}
