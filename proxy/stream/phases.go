package stream

import "slices"

// A Verdict is what a filter says after it has looked.
type Verdict uint8

// The verdicts. A filter that must wait simply waits: there is no third answer.
const (
	Continue Verdict = iota
	Stop             // a reply was sent, or the stream was reset
)

// An HTTP filter implements any of the following; what it lacks does not exist
// on the path. Filters are shared by all streams of their chain and immutable:
// what they keep about one stream lives in a Slot.
type (
	// RequestHeaders sees the request head, in chain order.
	RequestHeaders interface{ OnRequestHeaders(*Stream) Verdict }
	// RequestBody sees each piece of the request body and gives what to pass on; p
	// is valid during the call. Its presence in a chain forbids splicing.
	RequestBody interface {
		OnRequestBody(s *Stream, p []byte, end bool) ([]byte, Verdict)
	}
	// RequestTrailers sees the request's trailers, if there are any.
	RequestTrailers interface{ OnRequestTrailers(*Stream) Verdict }
	// ResponseHeaders sees the response head, in reverse chain order.
	ResponseHeaders interface{ OnResponseHeaders(*Stream) Verdict }
	// ResponseBody sees each piece of the response body, in reverse chain order.
	ResponseBody interface {
		OnResponseBody(s *Stream, p []byte, end bool) ([]byte, Verdict)
	}
	// ResponseTrailers sees the response's trailers, if there are any.
	ResponseTrailers interface{ OnResponseTrailers(*Stream) Verdict }
	// StreamEnd always runs, after the last byte or the reset.
	StreamEnd interface{ OnStreamEnd(*Stream) }
	// Terminal ends a chain: it answers.
	Terminal interface{ ServeStream(*Stream) error }
)

type step[F any] struct {
	name string
	f    F
}

// A Chain is the filters of an HTTP connection manager, sorted by phase when it
// is built: a phase that nobody is in costs the length of an empty slice.
type Chain struct {
	reqHeaders   []step[RequestHeaders]
	reqBody      []step[RequestBody]
	reqTrailers  []step[RequestTrailers]
	respHeaders  []step[ResponseHeaders]
	respBody     []step[ResponseBody]
	respTrailers []step[ResponseTrailers]
	ends         []step[StreamEnd]
	terminal     Terminal
	slots        []slotMaker
	finish       Finisher
	keep         []any
}

// A Finisher makes the last changes to a response head, after the filters: what
// the HTTP connection manager itself adds and removes.
type Finisher interface{ FinishResponse(s *Stream, end bool) }

// A Named is one built filter with its name in the chain.
type Named struct {
	Name   string
	Filter any
	Keep   any // stays reachable as long as the chain does; nil is nothing
}

// NewChain sorts filters, in the order they are configured, into phases. The
// last must be a Terminal and no other may be.
func NewChain(filters []Named, slots *Slots, finish Finisher) *Chain {
	c := &Chain{slots: slices.Clone(slots.makers), finish: finish}
	for _, n := range filters {
		if f, ok := n.Filter.(RequestHeaders); ok {
			c.reqHeaders = append(c.reqHeaders, step[RequestHeaders]{n.Name, f})
		}
		if f, ok := n.Filter.(RequestBody); ok {
			c.reqBody = append(c.reqBody, step[RequestBody]{n.Name, f})
		}
		if f, ok := n.Filter.(RequestTrailers); ok {
			c.reqTrailers = append(c.reqTrailers, step[RequestTrailers]{n.Name, f})
		}
		if f, ok := n.Filter.(StreamEnd); ok {
			c.ends = append(c.ends, step[StreamEnd]{n.Name, f})
		}
		if f, ok := n.Filter.(Terminal); ok {
			c.terminal = f
		}
		if n.Keep != nil {
			c.keep = append(c.keep, n.Keep)
		}
	}
	for i := len(filters) - 1; i >= 0; i-- {
		n := filters[i]
		if f, ok := n.Filter.(ResponseHeaders); ok {
			c.respHeaders = append(c.respHeaders, step[ResponseHeaders]{n.Name, f})
		}
		if f, ok := n.Filter.(ResponseBody); ok {
			c.respBody = append(c.respBody, step[ResponseBody]{n.Name, f})
		}
		if f, ok := n.Filter.(ResponseTrailers); ok {
			c.respTrailers = append(c.respTrailers, step[ResponseTrailers]{n.Name, f})
		}
	}
	return c
}

// LooksAtResponseBody tells whether any filter wants the response's bytes; if
// none does they may be spliced.
func (c *Chain) LooksAtResponseBody() bool { return len(c.respBody) > 0 }

// LooksAtRequestBody is the same for the request's bytes.
func (c *Chain) LooksAtRequestBody() bool { return len(c.reqBody) > 0 }
