package hcm

import (
	"strings"
	"testing"
	"time"

	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/filters/http/router"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const chainJSON = `"http_filters":[{"name":"router","typed_config":{"@type":"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],"rds":{"route_config_name":"r","config_source":{"ads":{}}}`

func decode(t *testing.T, fields string) *hcmv3.HttpConnectionManager {
	t.Helper()
	m := new(hcmv3.HttpConnectionManager)
	if err := protojson.Unmarshal([]byte("{"+fields+"}"), m); err != nil {
		t.Fatal(err)
	}
	return m
}

func context() *extension.Context {
	return extension.NewContext(extension.NewRegistry([]*extension.Factory{router.Factory()}), "test")
}

func TestDefaults(t *testing.T) {
	c, err := parse(decode(t, chainJSON), context())
	if err != nil {
		t.Fatal(err)
	}
	if c.ServerName != "weir" || c.IdleTimeout != time.Hour || c.StreamIdle != 5*time.Minute || c.DelayedClose != time.Second || !c.GenerateRequestID ||
		c.Rules.MaxHead != 60<<10 || c.Rules.MaxFields != 100 || c.RouteName != "r" || c.RequestTimeout != 0 {
		t.Errorf("%+v", c)
	}
}

func TestErrorsNameTheField(t *testing.T) {
	for fields, want := range map[string]string{
		`"rds":{"route_config_name":"r"}`:                                                     "http_filters: unset",
		strings.Split(chainJSON, `,"rds"`)[0]:                                                 "route_specifier: rds, route_config or scoped_routes must be set",
		chainJSON + `,"codec_type":"HTTP3"`:                                                   "codec_type: HTTP3 is not supported",
		chainJSON + `,"stream_idle_timeout":"-1s"`:                                            "stream_idle_timeout",
		chainJSON + `,"request_timeout":"-1s"`:                                                "request_timeout",
		chainJSON + `,"common_http_protocol_options":{"idle_timeout":"-1s"}`:                  "common_http_protocol_options.idle_timeout",
		chainJSON + `,"upgrade_configs":[{"upgrade_type":"x","filters":[{"name":"f"}]}]`:      "upgrade_configs[0].filters: not supported",
		`"rds":{},` + strings.Split(chainJSON, `,"rds"`)[0]:                                   "rds.route_config_name: unset",
		`"http_filters":[{"name":"x","config_discovery":{}}],"rds":{"route_config_name":"r"}`: "http_filters[0].config_discovery.type_urls: empty",
	} {
		_, err := parse(decode(t, fields), context())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n%v, want %q", fields, err, want)
		}
	}
}

func TestRoutesFromASourceOfTheirOwn(t *testing.T) {
	ctx := context()
	own := strings.Replace(chainJSON, `{"ads":{}}`, `{"path_config_source":{"path":"/x"},"initial_fetch_timeout":"2s"}`, 1)
	c, err := parse(decode(t, own), ctx)
	if err != nil {
		t.Fatal(err)
	}
	if c.RouteName != "r" || c.RouteKey != "r from /x" {
		t.Errorf("routes are %q, found by %q", c.RouteName, c.RouteKey)
	}
	want := extension.Ref{TypeURL: routesURL, Name: "r", Source: extension.Source{Path: "/x", FetchTimeout: 2 * time.Second}}
	if r := ctx.Refs(); len(r) != 1 || r[0] != want {
		t.Errorf("refers to %+v", r)
	}
}
