package core

import (
	"reflect"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
)

func decodeAPI(t *testing.T, text string) (*API, error) {
	t.Helper()
	m := &corev3.ApiConfigSource{}
	if err := protojson.Unmarshal([]byte(text), m); err != nil {
		t.Fatal(err)
	}
	var l fielderr.List
	a := DecodeAPI(&l, "a", m)
	return a, l.Err()
}

func TestDecodeAPI(t *testing.T) {
	f := func(text string, want API) {
		t.Helper()
		got, err := decodeAPI(t, text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s:\n%+v, want\n%+v", text, *got, want)
		}
	}
	f(`{"api_type":"AGGREGATED_GRPC"}`, API{Aggregated: true, NodeAlways: true})
	f(`{"api_type":"AGGREGATED_DELTA_GRPC"}`, API{Aggregated: true, Delta: true, NodeAlways: true})
	f(`{"api_type":"REST","cluster_names":["a","b"],"refresh_delay":"2s"}`,
		API{REST: true, Clusters: []string{"a", "b"}, Refresh: 2 * time.Second, RequestTimeout: time.Second, NodeAlways: true})
	f(`{"api_type":"REST","cluster_names":["a"],"refresh_delay":"2s","request_timeout":"3s"}`,
		API{REST: true, Clusters: []string{"a"}, Refresh: 2 * time.Second, RequestTimeout: 3 * time.Second, NodeAlways: true})
	f(`{"api_type":"DELTA_GRPC","set_node_on_first_message_only":true,"grpc_services":[{"envoy_grpc":{"cluster_name":"c","authority":"x",
		"max_receive_message_length":9,"retry_policy":{"retry_back_off":{"base_interval":"1s"}}},"initial_metadata":[{"key":"K","value":"v"}]}],
		"rate_limit_settings":{}}`, API{
		Delta: true, Rate: &Rate{100, 10},
		Services: []Service{{
			Cluster: "c", Authority: "x", Metadata: []string{"k", "v"}, MaxMessage: 9, RetryBase: time.Second, RetryMax: 10 * time.Second,
		}},
	})
	f(`{"api_type":"GRPC","set_node_on_first_message_only":true,"grpc_services":[{"google_grpc":{"target_uri":"dns:///h:1","stat_prefix":"p",
		"channel_credentials":{"ssl_credentials":{"root_certs":{"inline_string":"R"}}},"call_credentials":[{"access_token":"T"}]},
		"retry_policy":{"retry_back_off":{"base_interval":"1s","max_interval":"5s"}}}],
		"rate_limit_settings":{"max_tokens":3,"fill_rate":0.5}}`, API{
		Rate: &Rate{3, .5},
		Services: []Service{{
			Google: &Google{Target: "dns:///h:1", TLS: &GoogleTLS{Roots: []byte("R")}, Token: "T"}, RetryBase: time.Second, RetryMax: 5 * time.Second,
		}},
	})
}

func TestDecodeAPIRefuses(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		if _, err := decodeAPI(t, text); err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%s", text, err, want)
		}
	}
	grpc := func(service string) string { return `{"api_type":"GRPC","grpc_services":[` + service + `]}` }
	google := func(more string) string {
		return grpc(`{"google_grpc":{"target_uri":"h:1","stat_prefix":"p",` + more + `}}`)
	}
	f(`{}`, "a.api_type: DEPRECATED_AND_UNAVAILABLE_DO_NOT_USE is not spoken (use GRPC, DELTA_GRPC or REST)")
	f(`{"api_type":"REST"}`, "a.cluster_names: no cluster is named\na.refresh_delay: unset; REST sources are polled at this interval")
	f(`{"api_type":"REST","cluster_names":[""],"refresh_delay":"1s","grpc_services":[{}]}`,
		"a.grpc_services: set on a source of type REST (use cluster_names)\na.cluster_names[0]: empty")
	f(`{"api_type":"GRPC","cluster_names":["x"]}`, "a.cluster_names: for REST only (use grpc_services)\na.grpc_services: no gRPC service is named")
	f(grpc(`{}`), "a.grpc_services[0]: neither envoy_grpc nor google_grpc is set")
	f(grpc(`{"envoy_grpc":{}}`), "a.grpc_services[0].envoy_grpc.cluster_name: unset")
	f(grpc(`{"envoy_grpc":{"cluster_name":"c"},"initial_metadata":[{"key":":path","value":"v"},{"key":"k","value":"%X%"}]}`),
		"a.grpc_services[0].initial_metadata[0].key: \":path\" cannot be sent\n"+
			"a.grpc_services[0].initial_metadata[1].value: substitutions (%…%) are not supported here")
	f(grpc(`{"envoy_grpc":{"cluster_name":"c"},"retry_policy":{"retry_back_off":{"base_interval":"2s","max_interval":"1s"}}}`),
		"a.grpc_services[0].retry_policy.retry_back_off.max_interval: below base_interval")
	f(grpc(`{"google_grpc":{"target_uri":"xds:///h","stat_prefix":"p"}}`),
		`a.grpc_services[0].google_grpc.target_uri: scheme "xds" is not supported (use host:port, dns:///host:port or unix:/path)`)
	f(google(`"channel_credentials":{"google_default":{}}`),
		"a.grpc_services[0].google_grpc.channel_credentials.google_default: Google's default credentials are not supported (use ssl_credentials)")
	f(google(`"channel_credentials":{"local_credentials":{}}`), "a.grpc_services[0].google_grpc.channel_credentials.local_credentials: "+
		"local credentials are not supported (leave channel_credentials out, or use ssl_credentials)")
	f(google(`"channel_credentials":{"ssl_credentials":{"private_key":{"inline_string":"K"}}}`),
		"a.grpc_services[0].google_grpc.channel_credentials.ssl_credentials: private_key and cert_chain come together")
	f(google(`"call_credentials":[{"access_token":"T"},{"google_compute_engine":{}}]`),
		"a.grpc_services[0].google_grpc.call_credentials[0].access_token: a token is sent over TLS only (set channel_credentials.ssl_credentials)\n"+
			"a.grpc_services[0].google_grpc.call_credentials[1]: only access_token is supported")
	f(`{"api_type":"REST","cluster_names":["x"],"refresh_delay":"1s","rate_limit_settings":{"max_tokens":0,"fill_rate":0}}`,
		"a.rate_limit_settings.max_tokens: 0 lets nothing through\na.rate_limit_settings.fill_rate: want more than 0, found 0")
}

// A source that a reference names gives back what it was made of.
func TestSourceAPI(t *testing.T) {
	m := &corev3.ConfigSource{}
	if err := protojson.Unmarshal([]byte(`{"api_config_source":{"api_type":"REST","cluster_names":["r"],"refresh_delay":"5s"}}`), m); err != nil {
		t.Fatal(err)
	}
	var l fielderr.List
	a, err := SourceAPI(DecodeSource(&l, "c", m))
	if err != nil || l.Err() != nil || !a.REST || a.Clusters[0] != "r" || a.Refresh != 5*time.Second {
		t.Errorf("%+v, %v, %v", a, err, l.Err())
	}
	if _, err := SourceAPI(extension.Source{API: "\xff"}); err == nil {
		t.Error("no error for bytes that are no message")
	}
}

func FuzzDecodeAPI(f *testing.F) {
	for _, text := range []string{
		`{"api_type":"REST","cluster_names":["r"],"refresh_delay":"5s"}`,
		`{"api_type":"GRPC","grpc_services":[{"google_grpc":{"target_uri":"h:1","channel_credentials":{"ssl_credentials":{}}}}]}`,
		`{"api_type":"DELTA_GRPC","grpc_services":[{"envoy_grpc":{"cluster_name":"c"},"initial_metadata":[{"key":"a","raw_value":"Yg=="}]}]}`,
	} {
		m := &corev3.ApiConfigSource{}
		if err := protojson.Unmarshal([]byte(text), m); err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &corev3.ApiConfigSource{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		var l fielderr.List
		a := DecodeAPI(&l, "a", m)
		if l.Err() == nil && !a.Aggregated && a.Name() == "" {
			t.Errorf("nobody is named by %v", m)
		}
	})
}
