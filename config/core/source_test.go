package core

import (
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

func TestDecodeSource(t *testing.T) {
	f := func(text string, want extension.Source, wrong string) {
		t.Helper()
		m := &corev3.ConfigSource{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		var l fielderr.List
		got := DecodeSource(&l, "c", m)
		switch err := l.Err(); {
		case wrong != "":
			if err == nil || err.Error() != wrong {
				t.Errorf("%s: %v, want %s", text, err, wrong)
			}
		case err != nil:
			t.Errorf("%s: %v", text, err)
		case got != want:
			t.Errorf("%s: %+v, want %+v", text, got, want)
		}
	}
	none := extension.Source{}
	f(`{"ads":{}}`, none, "")
	f(`{"self":{},"initial_fetch_timeout":"3s"}`, extension.Source{FetchTimeout: 3 * time.Second}, "")
	f(`{"api_config_source":{"api_type":"AGGREGATED_GRPC"}}`, none, "")
	f(`{"path":"/a"}`, extension.Source{Path: "/a"}, "")
	f(`{"path_config_source":{"path":"/a/b","watched_directory":{"path":"/a"}},"initial_fetch_timeout":"0s"}`,
		extension.Source{Path: "/a/b", Watch: "/a", FetchTimeout: -1}, "")
	own := func(text string, fetch time.Duration, want extension.Source) {
		t.Helper()
		m := &corev3.ApiConfigSource{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		want.API, want.FetchTimeout = string(b), fetch
		f(`{"api_config_source":`+text+`,"initial_fetch_timeout":"2s"}`, want, "")
	}
	own(`{"api_type":"GRPC","set_node_on_first_message_only":true,"grpc_services":[{"envoy_grpc":{"cluster_name":"agent"},
		"initial_metadata":[{"key":"K","value":"v"}]}]}`, 2*time.Second, extension.Source{Cluster: "agent"})
	own(`{"api_type":"DELTA_GRPC","grpc_services":[{"google_grpc":{"target_uri":"h:1","stat_prefix":"p"}}]}`, 2*time.Second,
		extension.Source{Cluster: "h:1", Delta: true, NodeAlways: true})
	own(`{"api_type":"REST","cluster_names":["r"],"refresh_delay":"5s"}`, 2*time.Second, extension.Source{Cluster: "r", NodeAlways: true})
	f(`{}`, none, "c: unset (use ads, api_config_source or path_config_source)")
	f(`{"path_config_source":{}}`, none, "c.path_config_source.path: unset")
	f(`{"api_config_source":{"api_type":"GRPC"}}`, none, "c.api_config_source.grpc_services: no gRPC service is named")
	f(`{"path_config_source":{"path":"/a"},"initial_fetch_timeout":"-1s"}`, none, "c.initial_fetch_timeout: negative duration -1s")
}

func TestRequireSecret(t *testing.T) {
	f := func(text, key string, want extension.Ref) {
		t.Helper()
		m := &tlsv3.SdsSecretConfig{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		var l fielderr.List
		ctx := extension.NewContext(nil, "in")
		if got := RequireSecret(&l, "p", m, ctx); got != key || l.Err() != nil {
			t.Errorf("%s: key %q, %v", text, got, l.Err())
		}
		if refs := ctx.Refs(); len(refs) != 1 || refs[0] != want {
			t.Errorf("%s: %+v", text, refs)
		}
	}
	f(`{"name":"s"}`, "s", extension.Ref{TypeURL: secretURL, Name: "s", Source: extension.Source{Static: true}})
	f(`{"name":"s","sds_config":{"ads":{}}}`, "s", extension.Ref{TypeURL: secretURL, Name: "s"})
	f(`{"name":"s","sds_config":{"path":"/f"}}`, "s from /f", extension.Ref{TypeURL: secretURL, Name: "s", Source: extension.Source{Path: "/f"}})
}

func TestKeysTellSourcesApart(t *testing.T) {
	key := func(text string) string {
		t.Helper()
		m := &corev3.ConfigSource{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			t.Fatal(err)
		}
		var l fielderr.List
		return extension.Ref{TypeURL: secretURL, Name: "s", Source: DecodeSource(&l, "c", m)}.Key()
	}
	const service = `"grpc_services":[{"envoy_grpc":{"cluster_name":"cp"}}]`
	one := key(`{"api_config_source":{"api_type":"GRPC",` + service + `}}`)
	if again := key(`{"api_config_source":{"api_type":"GRPC",` + service + `},"initial_fetch_timeout":"1s"}`); again != one {
		t.Errorf("the same source is %q and %q", one, again)
	}
	if other := key(`{"api_config_source":{"api_type":"DELTA_GRPC",` + service + `}}`); other == one {
		t.Errorf("both protocols are %q", one)
	}
	if ads := key(`{"ads":{}}`); ads != "s" {
		t.Errorf("ads is %q", ads)
	}
}
