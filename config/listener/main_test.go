package listener_test

import (
	"errors"
	"testing"

	"github.com/weirproxy/weir/config/extension"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// registry has a small extension of each kind that a listener names. A StringValue configures them; "bad" is refused.
func registry() *extension.Registry {
	parse := func(a *anypb.Any, _ *extension.Context) (any, error) {
		var v wrapperspb.StringValue
		if err := a.UnmarshalTo(&v); err != nil {
			return nil, err
		}
		if v.Value == "bad" {
			return nil, errors.New("value: bad")
		}
		return v.Value, nil
	}
	empty := func(*anypb.Any, *extension.Context) (any, error) { return nil, nil }
	const sv, bv = "type.googleapis.com/google.protobuf.StringValue", "type.googleapis.com/google.protobuf.BoolValue"
	return extension.NewRegistry([]*extension.Factory{
		{Kind: extension.NetworkFilter, Name: "test.terminal", TypeURL: sv, Terminal: true, Parse: parse},
		{Kind: extension.NetworkFilter, Name: "test.passing", TypeURL: bv, Parse: empty},
		{Kind: extension.ListenerFilter, Name: "test.inspector", TypeURL: sv, Parse: parse},
		{Kind: extension.ListenerFilter, Name: "envoy.filters.listener.original_dst", Parse: empty,
			TypeURL: "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"},
		{Kind: extension.AccessLogger, Name: "test.log", TypeURL: sv, Parse: parse},
		{Kind: extension.TransportSocket, Name: "test.tls", TypeURL: sv, Parse: parse},
	})
}
