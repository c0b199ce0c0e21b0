package yamlproto

import (
	"errors"
	"strings"
	"testing"

	xdstypev3 "github.com/cncf/xds/go/xds/type/v3"
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	faultv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/fault/v3"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const invalid = `static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: "", port_value: 70000}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          route_config:
            virtual_hosts:
            - name: all
              routes:
              - match: {}
                route: {cluster: "", retry_policy: {per_try_idle_timeout: 1s, retry_back_off: {base_interval: 0s}}}
              typed_per_filter_config:
                envoy.filters.http.fault:
                  "@type": type.googleapis.com/xds.type.v3.TypedStruct
                  type_url: type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
                  value: {abort: {http_status: 99, percentag: {}}}
                second.fault:
                  "@type": type.googleapis.com/xds.type.v3.TypedStruct
                  type_url: type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault
                  value:
                    delay: {fixed_delay: -1s}
`

func TestValidateInsideAny(t *testing.T) {
	m := &bootstrapv3.Bootstrap{}
	x, err := Unmarshal([]byte(invalid), m, Options{File: "b.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/validate.golden", x.Validate(m).Error()+"\n")

	// Without an index the same violations have paths only.
	var none *Index
	es := none.Validate(m)
	if len(es) != len(x.Validate(m)) {
		t.Errorf("%d violations without index, %d with", len(es), len(x.Validate(m)))
	}
	for _, e := range es {
		if e.Pos.Line != 0 || e.Path == "" {
			t.Errorf("%+v", e)
		}
	}
}

func TestTypedStruct(t *testing.T) {
	s, err := structpb.NewStruct(map[string]any{"abort": map[string]any{"httpStatus": 503.0}, "max_active_faults": 7.0})
	if err != nil {
		t.Fatal(err)
	}
	ts := &xdstypev3.TypedStruct{TypeUrl: "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault", Value: s}
	m, err := FromTypedStruct(ts, nil)
	if err != nil {
		t.Fatal(err)
	}
	if f := m.(*faultv3.HTTPFault); f.GetAbort().GetHttpStatus() != 503 || f.GetMaxActiveFaults().GetValue() != 7 {
		t.Errorf("got %v", m)
	}
	ts.TypeUrl = "type.googleapis.com/weir.circuit_breaker"
	if _, err := FromTypedStruct(ts, nil); !errors.Is(err, ErrUnknownType) {
		t.Errorf("unknown type: %v", err)
	}
	s.Fields["abrt"] = structpb.NewBoolValue(true)
	ts.TypeUrl = "envoy.extensions.filters.http.fault.v3.HTTPFault"
	if _, err := FromTypedStruct(ts, nil); err == nil || !strings.Contains(err.Error(), `did you mean "abort"?`) {
		t.Errorf("unknown member: %v", err)
	}
}

// Bytes that are not the message their type URL names are a violation with a path; nesting ends.
func TestValidateBrokenAny(t *testing.T) {
	a := &anypb.Any{TypeUrl: "type.googleapis.com/envoy.config.cluster.v3.Cluster", Value: []byte{0xff}}
	var none *Index
	if es := none.Validate(a); len(es) != 1 || !strings.Contains(es[0].Message, "unmarshal envoy.config.cluster.v3.Cluster") {
		t.Errorf("got %v", es)
	}
	for range maxDepth + 10 {
		var err error
		if a, err = anypb.New(a); err != nil {
			t.Fatal(err)
		}
	}
	if es := none.Validate(a); len(es) != 1 || !strings.Contains(es[0].Message, "levels deep") {
		t.Errorf("got %v", es)
	}
}
