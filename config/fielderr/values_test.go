package fielderr_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func TestDuration(t *testing.T) {
	const def = 7 * time.Second
	for _, c := range []struct {
		name     string
		d        *durationpb.Duration
		want     time.Duration
		err      string
		positive string // what PositiveDuration says
	}{
		{"unset", nil, def, "", ""},
		{"set", durationpb.New(1500 * time.Millisecond), 1500 * time.Millisecond, "", ""},
		{"zero", durationpb.New(0), 0, "", "d: zero duration"},
		{"negative", durationpb.New(-time.Second), def, "d: negative duration -1s", "d: negative duration -1s"},
		{"mixed signs", &durationpb.Duration{Seconds: 1, Nanos: -1}, def, "d: malformed duration", "d: malformed duration"},
		{"too long", &durationpb.Duration{Seconds: math.MaxInt64}, def, "d: malformed duration", "d: malformed duration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var l, p fielderr.List
			if got := l.Duration("d", c.d, def); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
			p.PositiveDuration("d", c.d, def)
			if diff := cmp.Diff([]string{c.err, c.positive}, []string{text(l.Err()), text(p.Err())}); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestPercentAndDefaults(t *testing.T) {
	for v, want := range map[float64]string{
		0: "", 100: "", 50.5: "", -1: "p: -1 is not between 0 and 100", 101: "p: 101 is not between 0 and 100",
		math.Inf(1): "p: +Inf is not between 0 and 100",
	} {
		var l fielderr.List
		l.Percent("p", v)
		if got := text(l.Err()); got != want {
			t.Errorf("%v: %q, want %q", v, got, want)
		}
	}
	var l fielderr.List
	if l.Percent("p", math.NaN()); l.Len() != 1 {
		t.Error("NaN is a percentage")
	}
	if fielderr.Uint32(nil, 3) != 3 || fielderr.Uint32(wrapperspb.UInt32(0), 3) != 0 || !fielderr.Bool(nil, true) || fielderr.Bool(wrapperspb.Bool(false), true) {
		t.Error("defaults")
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
