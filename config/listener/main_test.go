package listener_test

import (
	"testing"

	"github.com/weirproxy/weir/config/extension"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry has a small extension of each kind that a listener names.
func registry() *extension.Registry {
	empty := func(*anypb.Any, *extension.Context) (any, error) { return nil, nil }
	return extension.NewRegistry([]*extension.Factory{
		{
			Kind: extension.NetworkFilter, Name: "test.terminal", Terminal: true, Parse: empty,
			TypeURL: "type.googleapis.com/google.protobuf.StringValue",
		},
		{
			Kind: extension.ListenerFilter, Name: "envoy.filters.listener.tls_inspector", Parse: empty,
			TypeURL: "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
		},
	})
}
