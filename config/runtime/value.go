// Package runtime has the values that change what a configuration says while it is in force (Envoy: runtime configuration).
//
//  1. A [Layer] is a named table of values: keys with dots, of a Struct in the bootstrap or from a control plane, of a folder of files,
//     or set by an operator.
//  2. Layers are merged into a [Snapshot], where a later layer overrides an earlier one.
//  3. A [Registry] has the snapshot in force. What reads a key holds a [Key] of it, which a new snapshot is resolved into once: reading
//     costs one atomic load, and a change needs nothing to be made anew.
//
// keys.go is the table of Envoy's own keys and of what is made of them here.
//
// Semantics: https://www.envoyproxy.io/docs/envoy/latest/configuration/operations/runtime.
package runtime

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"google.golang.org/protobuf/types/known/structpb"

	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/yamlproto"
)

// A Value is what one layer says about one key. It is never changed. What it is good for depends on how it was written: a reader of
// numbers does not see a boolean, and keeps its default.
type Value struct {
	// Text is the value as it was written, for people. A FractionalPercent of a Struct is given as JSON.
	Text string

	has   has
	flag  bool
	whole uint64
	num   float64
	share Share
}

type has uint8

const (
	hasFlag has = 1 << iota
	hasWhole
	hasNum
	hasShare
)

// A Share is a FractionalPercent: Num of Den. Den is 100, 10,000 or 1,000,000.
type Share struct{ Num, Den uint64 }

// Uint gives a number that is whole and not negative.
func (v *Value) Uint() (uint64, bool) { return v.whole, v.has&hasWhole != 0 }

// Float gives a number.
func (v *Value) Float() (float64, bool) { return v.num, v.has&hasNum != 0 }

// Bool gives a boolean.
func (v *Value) Bool() (on, ok bool) { return v.flag, v.has&hasFlag != 0 }

// Share gives a share: a FractionalPercent, or a whole number of percent, of which what is over 100 is all (Envoy: featureEnabled).
func (v *Value) Share() (Share, bool) {
	switch {
	case v.has&hasShare != 0:
		return v.share, true
	case v.has&hasWhole != 0:
		return Share{min(v.whole, 100), 100}, true
	}
	return Share{}, false
}

// newValue takes a value of a Struct. A Struct inside is a FractionalPercent here.
func newValue(p *structpb.Value) (*Value, error) {
	v := &Value{}
	switch k := p.GetKind().(type) {
	case *structpb.Value_NumberValue:
		v.Text = strconv.FormatFloat(k.NumberValue, 'f', -1, 64)
		v.setNumber(k.NumberValue)
	case *structpb.Value_BoolValue:
		v.Text = strconv.FormatBool(k.BoolValue)
		v.flag, v.has = k.BoolValue, hasFlag
	case *structpb.Value_StringValue:
		v.Text = k.StringValue
		v.read(k.StringValue)
	case *structpb.Value_StructValue:
		if len(k.StructValue.GetFields()) == 0 {
			v.Text = "{}"
			return v, nil
		}
		s, err := newShare(k.StructValue)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(k.StructValue.AsMap())
		if err != nil {
			return nil, fmt.Errorf("unprintable value: %w", err)
		}
		v.Text, v.share, v.has = string(text), s, hasShare
	case *structpb.Value_ListValue:
		return nil, fmt.Errorf("a list is no runtime value")
	default:
		return nil, fmt.Errorf("null is no runtime value")
	}
	return v, nil
}

// maxText bounds a text that is looked at for more than a string, in bytes.
const maxText = 1 << 12

// ParseValue takes a value as a file or an operator writes it: YAML, of which what is no number, boolean or FractionalPercent is a
// string.
func ParseValue(text string) *Value {
	v := &Value{Text: text}
	if len(text) > maxText {
		return v
	}
	var p structpb.Value
	if _, err := yamlproto.Unmarshal([]byte(text), &p, yamlproto.Options{}); err != nil {
		return v
	}
	if s, ok := p.GetKind().(*structpb.Value_StringValue); ok {
		v.read(s.StringValue)
		return v
	}
	if w, err := newValue(&p); err == nil {
		w.Text = text
		return w
	}
	return v
}

// read finds a number, a boolean or a FractionalPercent in a string.
func (v *Value) read(s string) {
	s = strings.TrimSpace(s)
	switch {
	case strings.EqualFold(s, "true"), strings.EqualFold(s, "false"):
		v.flag, v.has = strings.EqualFold(s, "true"), hasFlag
		return
	case strings.HasPrefix(s, "{") && len(s) <= maxText:
		var p structpb.Struct
		if _, err := yamlproto.Unmarshal([]byte(s), &p, yamlproto.Options{}); err != nil {
			return
		}
		if share, err := newShare(&p); err == nil {
			v.share, v.has = share, hasShare
		}
		return
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		v.whole, v.num, v.has = n, float64(n), hasWhole|hasNum
		return
	}
	if n, err := strconv.ParseFloat(s, 64); err == nil && !strings.ContainsAny(s, "xX_") {
		v.setNumber(n)
	}
}

func (v *Value) setNumber(n float64) {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return
	}
	v.num, v.has = n, v.has|hasNum
	if n >= 0 && n < 1<<63 && n == math.Trunc(n) {
		v.whole, v.has = uint64(n), v.has|hasWhole
	}
}

// newShare reads a FractionalPercent.
func newShare(s *structpb.Struct) (Share, error) {
	out := Share{Den: 100}
	for name, f := range s.GetFields() {
		switch k := f.GetKind().(type) {
		case *structpb.Value_NumberValue:
			n := k.NumberValue
			if name == "numerator" {
				if n < 0 || n > math.MaxUint32 || n != math.Trunc(n) {
					return Share{}, fmt.Errorf("numerator: %v is no number of 32 bits", n)
				}
				out.Num = uint64(n)
				continue
			}
			if d, ok := denominators[typev3.FractionalPercent_DenominatorType(int32(max(min(n, 9), -1)))]; name == "denominator" && ok && n == math.Trunc(n) {
				out.Den = d
				continue
			}
		case *structpb.Value_StringValue:
			if d, ok := denominators[typev3.FractionalPercent_DenominatorType(denominator(k.StringValue))]; name == "denominator" && ok {
				out.Den = d
				continue
			}
		}
		switch name {
		case "numerator", "denominator":
			return Share{}, fmt.Errorf("%s: unknown value", name)
		default:
			return Share{}, fmt.Errorf("%q is no field of a FractionalPercent", name)
		}
	}
	return out, nil
}

func denominator(name string) int32 {
	if n, ok := typev3.FractionalPercent_DenominatorType_value[name]; ok {
		return n
	}
	return -1
}

// denominators is never changed.
var denominators = map[typev3.FractionalPercent_DenominatorType]uint64{
	typev3.FractionalPercent_HUNDRED:      100,
	typev3.FractionalPercent_TEN_THOUSAND: 10_000,
	typev3.FractionalPercent_MILLION:      1_000_000,
}
