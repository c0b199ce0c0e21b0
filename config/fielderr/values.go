package fielderr

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Duration reads an optional duration field, def when it is unset. A malformed or negative one is recorded under path.
func (l *List) Duration(path string, d *durationpb.Duration, def time.Duration) time.Duration {
	if d == nil {
		return def
	}
	if err := d.CheckValid(); err != nil {
		l.Addf(path, "malformed duration")
		return def
	}
	v := d.AsDuration()
	if v < 0 {
		l.Addf(path, "negative duration %v", v)
		return def
	}
	return v
}

// PositiveDuration is Duration for fields where zero makes no sense.
func (l *List) PositiveDuration(path string, d *durationpb.Duration, def time.Duration) time.Duration {
	v := l.Duration(path, d, def)
	if d != nil && v == 0 {
		l.Addf(path, "zero duration")
		return def
	}
	return v
}

// Percent reads a percentage field's value; what is not between 0 and 100 is recorded under path.
func (l *List) Percent(path string, v float64) float64 {
	if math.IsNaN(v) || v < 0 || v > 100 {
		l.Addf(path, "%v is not between 0 and 100", v)
		return 0
	}
	return v
}

// Uint32 reads an optional number, def when it is unset.
func Uint32(v *wrapperspb.UInt32Value, def uint32) uint32 {
	if v == nil {
		return def
	}
	return v.GetValue()
}

// Bool reads an optional bool, def when it is unset.
func Bool(v *wrapperspb.BoolValue, def bool) bool {
	if v == nil {
		return def
	}
	return v.GetValue()
}
