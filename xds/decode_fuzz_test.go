package xds_test

import (
	"errors"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// FuzzResponse gives a session and the real decoder a response as it may come from a stream. Whatever it is, it is answered, and
// what it refers to is asked for.
func FuzzResponse(f *testing.F) {
	for _, s := range []struct {
		url string
		m   []proto.Message
	}{
		{xds.ClusterType, []proto.Message{edsCluster("a"), badCluster("b")}},
		{xds.EndpointType, []proto.Message{assignment("a", 80, 81)}},
		{xds.ListenerType, []proto.Message{rdsListener(f, "in", "r")}},
		{xds.RouteType, []proto.Message{routeTo("r", "a")}},
	} {
		r := &discoveryv3.DiscoveryResponse{VersionInfo: "1", Nonce: "n", TypeUrl: s.url}
		for _, m := range s.m {
			a, err := anypb.New(m)
			if err != nil {
				f.Fatal(err)
			}
			r.Resources = append(r.Resources, a)
		}
		b, err := proto.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r := &discoveryv3.DiscoveryResponse{}
		if proto.Unmarshal(in, r) != nil {
			return
		}
		s := xds.NewSession(xds.SessionOptions{Sources: []xds.Source{{Name: "ads", Types: []xds.SourceType{
			{TypeURL: xds.ClusterType}, {TypeURL: xds.EndpointType}, {TypeURL: xds.ListenerType}, {TypeURL: xds.RouteType},
		}}}})
		now := time.Unix(0, 0)
		answered := false
		var step func(xds.Happening)
		step = func(h xds.Happening) {
			for _, a := range s.Step(xds.Event{At: now, What: h}) {
				switch a := a.(type) {
				case xds.DecodeItems:
					d := xds.Decoded{TypeURL: a.TypeURL, Seq: a.Seq}
					for _, it := range a.Items {
						res, err := decodeWith(t, d.TypeURL, it)
						d.Results = append(d.Results, xds.Result{Resource: res, Err: err})
					}
					step(d)
				case xds.Send:
					answered = answered || a.Request.GetTypeUrl() == r.GetTypeUrl() && a.Request.GetResponseNonce() == r.GetNonce()
				}
			}
		}
		step(xds.Started{})
		step(xds.Subscribed{Ref: extension.Ref{TypeURL: xds.EndpointType, Name: "a"}})
		step(xds.Subscribed{Ref: extension.Ref{TypeURL: xds.RouteType, Name: "r"}})
		step(xds.Connected{})
		answered = false
		step(xds.Received{Response: r})
		switch r.GetTypeUrl() {
		case xds.ClusterType, xds.EndpointType, xds.ListenerType, xds.RouteType:
			if !answered {
				t.Error("the response was not answered")
			}
		}
		_ = s.Status()
	})
}

func decodeWith(t *testing.T, url string, a *anypb.Any) (*config.Resource, error) {
	r, err := decoder().Decode(url, a, false)
	if p := (*config.PanicError)(nil); errors.As(err, &p) {
		t.Fatalf("%v\n%s", p, p.Stack)
	}
	return r, err
}
