package grpc

import (
	"strconv"

	"github.com/weirproxy/weir/proxy/header"
)

// A Status is the outcome of a call: the value of grpc-status.
type Status uint32

// The status codes (https://grpc.io/docs/guides/status-codes).
const (
	OK Status = iota
	Canceled
	Unknown
	InvalidArgument
	DeadlineExceeded
	NotFound
	AlreadyExists
	PermissionDenied
	ResourceExhausted
	FailedPrecondition
	Aborted
	OutOfRange
	Unimplemented
	Internal
	Unavailable
	DataLoss
	Unauthenticated
	numStatus
)

// Invalid stands for a grpc-status that is no number (Envoy: InvalidCode).
const Invalid = ^Status(0)

// statuses are the names, in camel and in snake case, and the HTTP status that
// stands for each (https://cloud.google.com/apis/design/errors#handling_errors).
var statuses = [numStatus]struct {
	camel, snake string
	http         int
}{
	{"OK", "OK", 200},
	{"Canceled", "CANCELLED", 499},
	{"Unknown", "UNKNOWN", 500},
	{"InvalidArgument", "INVALID_ARGUMENT", 400},
	{"DeadlineExceeded", "DEADLINE_EXCEEDED", 504},
	{"NotFound", "NOT_FOUND", 404},
	{"AlreadyExists", "ALREADY_EXISTS", 409},
	{"PermissionDenied", "PERMISSION_DENIED", 403},
	{"ResourceExhausted", "RESOURCE_EXHAUSTED", 429},
	{"FailedPrecondition", "FAILED_PRECONDITION", 400},
	{"Aborted", "ABORTED", 409},
	{"OutOfRange", "OUT_OF_RANGE", 400},
	{"Unimplemented", "UNIMPLEMENTED", 501},
	{"Internal", "INTERNAL", 500},
	{"Unavailable", "UNAVAILABLE", 503},
	{"DataLoss", "DATA_LOSS", 500},
	{"Unauthenticated", "UNAUTHENTICATED", 401},
}

// String gives the name in camel case, as Envoy writes it: Canceled with one l.
func (s Status) String() string {
	switch {
	case s == Invalid:
		return "InvalidCode"
	case s >= numStatus:
		return strconv.FormatUint(uint64(s), 10)
	}
	return statuses[s].camel
}

// Snake gives the name in snake case: CANCELLED.
func (s Status) Snake() string {
	if s >= numStatus {
		return s.String()
	}
	return statuses[s].snake
}

// Known tells whether the status has a name.
func (s Status) Known() bool { return s < numStatus }

// HTTP gives the HTTP status that says about the same (Envoy:
// Grpc::Utility::grpcToHttpStatus).
func (s Status) HTTP() int {
	if s >= numStatus {
		return 500
	}
	return statuses[s].http
}

// OfHTTP gives the status of a call that was answered by HTTP alone
// (https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md;
// Envoy: Grpc::Utility::httpToGrpcStatus).
func OfHTTP(code int) Status {
	switch code {
	case 400:
		return Internal
	case 401:
		return Unauthenticated
	case 403:
		return PermissionDenied
	case 404:
		return Unimplemented
	case 429, 502, 503, 504:
		return Unavailable
	}
	return Unknown
}

// In reads grpc-status in a head or in trailers; ok says that it is there.
func In(h *header.Headers) (s Status, ok bool) {
	v, ok := h.Get(header.GrpcStatus)
	if !ok {
		return 0, false
	}
	if len(v) == 0 || len(v) > 9 {
		return Invalid, true
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return Invalid, true
		}
		s = s*10 + Status(c-'0')
	}
	return s, true
}

// Of gives the status of a call: that of its trailers, else of its head, else what
// stands for the HTTP status; ok is false when there is none of them (Envoy:
// Grpc::Common::getGrpcStatus).
func Of(head, trailers *header.Headers, code int) (s Status, ok bool) {
	if s, ok = In(trailers); ok {
		return s, true
	}
	if s, ok = In(head); ok {
		return s, true
	}
	return OfHTTP(code), code > 0
}
