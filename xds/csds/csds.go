// Package csds serves the client status discovery service (envoy.service.status.v3.ClientStatusDiscoveryService) by gRPC: tools such
// as grpcdebug ask it what a process got from its control plane. What it answers is made by who knows it.
//
// It is here and not with the admin interface, whose port it shares, because gRPC is imported by xds and nothing on the data plane's
// side.
package csds

import (
	"context"
	"errors"
	"io"
	"net/http"

	statusv3 "github.com/envoyproxy/go-control-plane/envoy/service/status/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Answer makes the answer to a request.
type Answer func(*statusv3.ClientStatusRequest) *statusv3.ClientStatusResponse

// Handler serves the calls. It is to be given requests of HTTP/2 only.
func Handler(a Answer) http.Handler {
	s := grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest))
	statusv3.RegisterClientStatusDiscoveryServiceServer(s, &service{answer: a})
	return s
}

// maxRequest bounds a request, in bytes.
const maxRequest = 1 << 20

type service struct {
	statusv3.UnimplementedClientStatusDiscoveryServiceServer
	answer Answer
}

// FetchClientStatus answers once.
func (s *service) FetchClientStatus(_ context.Context, r *statusv3.ClientStatusRequest) (*statusv3.ClientStatusResponse, error) {
	if len(r.GetNodeMatchers()) > 0 { // as in grpc-go: a client knows one node
		return nil, status.Error(codes.InvalidArgument, "node_matchers are not supported: there is one node here")
	}
	return s.answer(r), nil
}

// StreamClientStatus answers every request of a stream.
func (s *service) StreamClientStatus(st statusv3.ClientStatusDiscoveryService_StreamClientStatusServer) error {
	for {
		r, err := st.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		out, err := s.FetchClientStatus(st.Context(), r)
		if err != nil {
			return err
		}
		if err := st.Send(out); err != nil {
			return err
		}
	}
}
