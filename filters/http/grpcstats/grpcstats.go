// Package grpcstats is envoy.filters.http.grpc_stats: it counts gRPC calls by their
// status, and their messages, for each cluster and, if asked to, for each method.
package grpcstats

import (
	"time"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/stream"
)

// Stats are the statistics of one cluster's gRPC calls, or of one method of it,
// besides a counter for each status.
type Stats struct {
	Success          *stats.Counter   `stat:"success"`
	Failure          *stats.Counter   `stat:"failure"`
	Total            *stats.Counter   `stat:"total"`
	RequestMessages  *stats.Counter   `stat:"request_message_count"`
	ResponseMessages *stats.Counter   `stat:"response_message_count"`
	UpstreamTime     *stats.Histogram `stat:"upstream_rq_time"` // ms, with enable_upstream_stats
}

// filter is one gRPC statistics filter of a chain.
type filter struct {
	cfg   settings
	books books
	calls stream.Slot[call]
}

// call is what is kept of a gRPC call; the zero call is a request that is none.
type call struct {
	service, method   []byte // of the path as it came; nil when the request is no call
	book              *book  // nil until its cluster is known
	request, response grpc.Counter
	replied           bool // the response is gRPC
}

var (
	_ filters.RequestHeaders   = (*filter)(nil)
	_ filters.RequestBody      = (*filter)(nil)
	_ filters.ResponseHeaders  = (*filter)(nil)
	_ filters.ResponseBody     = (*filter)(nil)
	_ filters.ResponseTrailers = (*filter)(nil)
	_ filters.StreamEnd        = (*filter)(nil)
)

// OnRequestHeaders implements filters.RequestHeaders.
func (f *filter) OnRequestHeaders(s *stream.Stream) filters.Verdict {
	if grpc.Is(&s.Request) {
		if service, method, ok := grpc.ServiceAndMethod(s.Path); ok {
			c := f.calls.Of(s)
			c.service, c.method = service, method
		}
	}
	return filters.Continue
}

// OnRequestBody implements filters.RequestBody.
func (f *filter) OnRequestBody(s *stream.Stream, p []byte, _ bool) ([]byte, filters.Verdict) {
	c := f.calls.Of(s)
	if c.service == nil {
		return p, filters.Continue
	}
	if n := c.request.Count(p); n > 0 {
		if b := f.book(s, c); b != nil {
			b.RequestMessages.Add(n)
		}
	}
	return p, filters.Continue
}

// OnResponseHeaders implements filters.ResponseHeaders: a response without a body,
// ours too, has its status here.
func (f *filter) OnResponseHeaders(s *stream.Stream) filters.Verdict {
	c := f.calls.Of(s)
	if c.service == nil {
		return filters.Continue
	}
	c.replied = s.Info.Code == 200 && grpc.Is(&s.Response)
	f.count(s, c, &s.Response)
	return filters.Continue
}

// OnResponseBody implements filters.ResponseBody.
func (f *filter) OnResponseBody(s *stream.Stream, p []byte, _ bool) ([]byte, filters.Verdict) {
	c := f.calls.Of(s)
	if !c.replied {
		return p, filters.Continue
	}
	if n := c.response.Count(p); n > 0 {
		if b := f.book(s, c); b != nil {
			b.ResponseMessages.Add(n)
		}
	}
	return p, filters.Continue
}

// OnResponseTrailers implements filters.ResponseTrailers.
func (f *filter) OnResponseTrailers(s *stream.Stream) filters.Verdict {
	if c := f.calls.Of(s); c.service != nil {
		f.count(s, c, &s.ResponseTrailers)
	}
	return filters.Continue
}

// OnStreamEnd implements filters.StreamEnd.
func (f *filter) OnStreamEnd(s *stream.Stream) {
	c := f.calls.Of(s)
	i := &s.Info
	if !f.cfg.upstream || c.service == nil || i.RequestDone.IsZero() || i.UpstreamDone.IsZero() {
		return
	}
	if b := f.book(s, c); b != nil {
		b.UpstreamTime.Record(uint64(max(i.UpstreamDone.Sub(i.RequestDone), 0) / time.Millisecond))
	}
}

// count counts a call if h has its status.
func (f *filter) count(s *stream.Stream, c *call, h *header.Headers) {
	st, ok := grpc.In(h)
	if !ok {
		return
	}
	if b := f.book(s, c); b != nil {
		b.count(st)
	}
}

// book gives the counters of a call; nil when it goes to no cluster that there is.
func (f *filter) book(s *stream.Stream, c *call) *book {
	if c.book == nil {
		cluster := s.Info.Cluster
		if r := s.Route(); cluster == "" && r != nil && r.Forward != nil {
			cluster = r.Forward.Cluster // the router has not been asked
		}
		if cluster != "" {
			c.book = f.books.of(cluster, c.service, c.method)
		}
	}
	return c.book
}
