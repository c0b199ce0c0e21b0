package cluster

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	udpav1 "github.com/cncf/xds/go/udpa/type/v1"
	xdsv3 "github.com/cncf/xds/go/xds/type/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// BreakerName is the key of typed_extension_protocol_options that configures the half-open circuit breaker.
	BreakerName = "weir.circuit_breaker"
	// BreakerURL is the type_url inside the TypedStruct.
	BreakerURL = "type.googleapis.com/weir.circuit_breaker"
)

// decodeBreaker reads Weir's own breaker, a TypedStruct because Weir has no protos. docs/circuit-breaking.md describes it.
func decodeBreaker(l *fielderr.List, at string, a *anypb.Any) *Breaker {
	u, v, err := typedStruct(a)
	if err != nil {
		l.Add(at, err)
		return nil
	}
	if u != BreakerURL {
		l.Addf(at+".type_url", "%q, want %s", u, BreakerURL)
	}
	d := &Breaker{FailureRatio: 0.5, MinRequests: 20, Window: 10 * time.Second, OpenFor: 5 * time.Second, HalfOpenMax: 1}
	before, fields := l.Len(), v.GetFields()
	for _, k := range slices.Sorted(maps.Keys(fields)) {
		var err error
		switch x := fields[k]; k {
		case "failure_ratio":
			d.FailureRatio, err = number(x, 0, 1)
		case "min_requests":
			d.MinRequests, err = count(x, 1)
		case "consecutive_failures":
			d.Consecutive, err = count(x, 0)
		case "window":
			d.Window, err = duration(x)
		case "open_for":
			d.OpenFor, err = duration(x)
		case "half_open_requests":
			d.HalfOpenMax, err = count(x, 1)
		default:
			err = fmt.Errorf("unknown field (known: consecutive_failures, failure_ratio, half_open_requests, min_requests, open_for, window)")
		}
		l.Add(at+".value."+k, err)
	}
	if l.Len() == before && d.FailureRatio == 0 && d.Consecutive == 0 {
		l.Addf(at+".value", "failure_ratio and consecutive_failures are both 0: the breaker would never open")
	}
	return d
}

// typedStruct unwraps xds.type.v3.TypedStruct and its older name.
func typedStruct(a *anypb.Any) (typeURL string, v *structpb.Struct, err error) {
	switch {
	case a.MessageIs((*xdsv3.TypedStruct)(nil)):
		var s xdsv3.TypedStruct
		if err := a.UnmarshalTo(&s); err != nil {
			return "", nil, fmt.Errorf("malformed TypedStruct")
		}
		return s.GetTypeUrl(), s.GetValue(), nil
	case a.MessageIs((*udpav1.TypedStruct)(nil)):
		var s udpav1.TypedStruct
		if err := a.UnmarshalTo(&s); err != nil {
			return "", nil, fmt.Errorf("malformed TypedStruct")
		}
		return s.GetTypeUrl(), s.GetValue(), nil
	}
	return "", nil, fmt.Errorf("type %s, want xds.type.v3.TypedStruct", strings.TrimPrefix(a.GetTypeUrl(), "type.googleapis.com/"))
}

func number(v *structpb.Value, lo, hi float64) (float64, error) {
	n, ok := v.GetKind().(*structpb.Value_NumberValue)
	if !ok {
		return 0, fmt.Errorf("not a number")
	}
	if !(n.NumberValue >= lo && n.NumberValue <= hi) { // NaN too
		return 0, fmt.Errorf("%v is not between %v and %v", n.NumberValue, lo, hi)
	}
	return n.NumberValue, nil
}

func count(v *structpb.Value, lo float64) (uint32, error) {
	n, err := number(v, math.Inf(-1), math.Inf(1))
	switch {
	case err != nil:
		return 0, err
	case n != math.Trunc(n):
		return 0, fmt.Errorf("%v is not a whole number", n)
	case n < lo || n > math.MaxUint32:
		return 0, fmt.Errorf("%.0f is not between %.0f and %d", n, lo, uint32(math.MaxUint32))
	}
	return uint32(n), nil
}

// duration reads a duration as protobuf's JSON writes it ("1.5s"), or with another of Go's units.
func duration(v *structpb.Value) (time.Duration, error) {
	s, ok := v.GetKind().(*structpb.Value_StringValue)
	if !ok {
		return 0, fmt.Errorf(`not a duration in a string, as in "1.5s"`)
	}
	d, err := time.ParseDuration(s.StringValue)
	if err != nil {
		return 0, fmt.Errorf(`%q is not a duration, as in "1.5s"`, s.StringValue)
	}
	if d < time.Millisecond {
		return 0, fmt.Errorf("%v is below 1ms", d)
	}
	return d, nil
}
