package stream

import (
	"strconv"
	"time"

	"github.com/weirproxy/weir/proxy/grpc"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// Reply answers with a response of our own (Envoy: local reply): a plain text
// body, or none. Header fields already in s.Response are kept. A gRPC request is
// answered in gRPC's way: see grpcReply.
func (s *Stream) Reply(code int, f info.Flags, details, body string) {
	if s.replied {
		return
	}
	s.Info.Flags |= f
	s.Info.Details = details
	s.Response.Del(header.TransferEncoding)
	if !s.BodyDone() {
		s.MustClose() // nobody reads the rest of the request
	}
	if grpc.Is(&s.Request) {
		s.grpcReply(code, details, body)
		return
	}
	s.SetStatus(code)
	s.replyBody = append(s.replyBody[:0], body...)
	if len(s.replyBody) > 0 {
		s.Response.SetInt(header.ContentLength, int64(len(s.replyBody)))
		if !s.Response.Has(header.ContentType) {
			s.Response.AddString(header.ContentType, "text/plain")
		}
	} else if !s.HeadRequest && code != 204 && code != 304 { // RFC 9110 §8.6
		s.Response.SetInt(header.ContentLength, 0)
	}
	end := len(s.replyBody) == 0 || s.HeadRequest
	if err := s.SendHeaders(end); err != nil || end {
		return
	}
	// The error, if any, is seen again when the codec flushes.
	_ = s.SendBody(s.replyBody, true)
}

// SetGRPCStatus says which grpc-status the reply that follows has, if the request
// is gRPC, instead of the one that stands for its HTTP status.
func (s *Stream) SetGRPCStatus(st grpc.Status) {
	if grpc.Is(&s.Request) {
		s.Response.SetInt(header.GrpcStatus, int64(st))
	}
}

// grpcReply answers with a head alone: 200, and in grpc-status what stands for the
// status, with the text in grpc-message (Envoy: Utility::prepareLocalReply). A
// grpc-status already in s.Response is kept.
func (s *Stream) grpcReply(code int, details, body string) {
	h := &s.Response
	s.SetStatus(200)
	h.SetString(header.ContentType, grpc.ContentType)
	if !h.Has(header.GrpcStatus) {
		st := grpc.OfHTTP(code)
		if details == maxDuration || st == grpc.Unavailable && s.callExpired() {
			st = grpc.DeadlineExceeded
		}
		h.Set(header.GrpcStatus, strconv.AppendUint(s.statusBuffer[:0], uint64(st), 10))
	}
	if body != "" && !s.HeadRequest {
		s.replyBody = grpc.AppendMessage(s.replyBody[:0], body)
		h.Set(header.GrpcMessage, s.replyBody)
	}
	h.Del(header.ContentLength)
	if s.Info.Protocol != info.HTTP2 {
		h.AddString(header.ContentLength, "0") // HTTP/1 has no other end
	}
	// The error, if any, is seen again when the codec flushes.
	_ = s.SendHeaders(true)
}

// callExpired tells whether the deadline that a gRPC client set has passed: whatever
// failed after it, a server that gave up too, the client is to hear that.
func (s *Stream) callExpired() bool {
	return !s.CallDeadline.IsZero() && !time.Now().Before(s.CallDeadline)
}

var grpcTimeout = header.Intern("grpc-timeout")

// NoteCallDeadline remembers the deadline that a gRPC client set, before the router
// tells the server of its own in the same field.
func (s *Stream) NoteCallDeadline() {
	if v, ok := s.Request.Get(grpcTimeout); ok {
		if d, ok := grpc.ParseTimeout(v); ok {
			s.CallDeadline = s.Info.Start.Add(d)
		}
	}
}

// maxDuration is the response code detail of a stream that took too long.
const maxDuration = "max_duration_timeout"
