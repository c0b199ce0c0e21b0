package cluster

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	"github.com/weirproxy/weir/config/fielderr"
)

func TestChooseTransport(t *testing.T) {
	all := []TransportMatch{
		{Name: "mtls", Labels: Labels{"tlsMode": `"istio"`}},
		{Name: "both", Labels: Labels{"a": "true", "b": "1"}},
	}
	open := append(all[:2:2], TransportMatch{Name: "rest"})
	for _, c := range []struct {
		name               string
		all                []TransportMatch
		endpoint, locality Labels
		want               int
	}{
		{"no match configured", nil, Labels{"a": "1"}, nil, -1},
		{"no metadata", all, nil, nil, -1},
		{"first", all, Labels{"tlsMode": `"istio"`}, nil, 0},
		{"another value", all, Labels{"tlsMode": `"disabled"`}, nil, -1},
		{"text is not a boolean", all, Labels{"a": `"true"`, "b": "1"}, nil, -1},
		{"all labels, and more", all, Labels{"a": "true", "b": "1", "c": "2"}, nil, 1},
		{"one of two labels", all, Labels{"a": "true"}, nil, -1},
		{"locality", all, nil, Labels{"tlsMode": `"istio"`}, 0},
		{"endpoint before locality", all, Labels{"a": "true", "b": "1"}, Labels{"tlsMode": `"istio"`}, 1},
		{"labels of both are not joined", all, Labels{"a": "true"}, Labels{"b": "1"}, -1},
		{"empty match fits all", open, nil, nil, 2},
		{"order counts", open, Labels{"tlsMode": `"istio"`}, nil, 0},
		{"an empty match for the endpoint hides the locality", open, nil, Labels{"tlsMode": `"istio"`}, 2},
	} {
		if got := ChooseTransport(c.all, c.endpoint, c.locality); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestLabelsCompareValues(t *testing.T) {
	of := func(v any) Labels {
		s, err := structpb.NewStruct(map[string]any{"k": v})
		if err != nil {
			t.Fatal(err)
		}
		var l fielderr.List
		out := labels(&l, "m", s)
		if l.Err() != nil {
			t.Fatal(l.Err())
		}
		return out
	}
	if !of(map[string]any{"x": 1, "y": []any{"z"}}).Equal(of(map[string]any{"y": []any{"z"}, "x": 1})) {
		t.Error("order of keys counts")
	}
	if of(true).Equal(of("true")) || of(1).Equal(of("1")) || of(nil).Equal(of("")) {
		t.Error("kinds do not count")
	}
}
