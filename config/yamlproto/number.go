package yamlproto

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// number returns the text of a number: a YAML number, or a string that holds one (the JSON mapping allows both).
func (d *decoder) number(n *yaml.Node, fd string) (string, bool) {
	switch n.ShortTag() {
	case "!!int", "!!float":
		return strings.ReplaceAll(n.Value, "_", ""), true
	case "!!str":
		if n.Value != "" && n.Value == strings.TrimSpace(n.Value) {
			return n.Value, true
		}
	}
	d.fail(n, "want %s, found %s", fd, describe(n))
	return "", false
}

func (d *decoder) signed(n *yaml.Node, bits int) (int64, bool) {
	what := "a whole number"
	s, ok := d.number(n, what)
	if !ok {
		return 0, false
	}
	i, err := strconv.ParseInt(strings.TrimPrefix(s, "+"), base(n), bits)
	if err == nil {
		return i, true
	}
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil && f == math.Trunc(f) {
		if lo, hi := -math.Ldexp(1, bits-1), math.Ldexp(1, bits-1); f >= lo && f < hi {
			return int64(f), true // 1e3 and 5.0 are whole numbers in the JSON mapping
		}
	}
	d.rangeError(n, s, what, fmt.Sprintf("%d", int64(math.MinInt64)>>(64-bits)), fmt.Sprintf("%d", int64(math.MaxInt64)>>(64-bits)))
	return 0, false
}

func (d *decoder) unsigned(n *yaml.Node, bits int) (uint64, bool) {
	what := "a whole number of 0 or more"
	s, ok := d.number(n, what)
	if !ok {
		return 0, false
	}
	u, err := strconv.ParseUint(strings.TrimPrefix(s, "+"), base(n), bits)
	if err == nil {
		return u, true
	}
	if f, ferr := strconv.ParseFloat(s, 64); ferr == nil && f == math.Trunc(f) && f >= 0 && f < math.Ldexp(1, bits) {
		return uint64(f), true
	}
	d.rangeError(n, s, what, "0", fmt.Sprintf("%d", uint64(math.MaxUint64)>>(64-bits)))
	return 0, false
}

// base lets YAML numbers carry 0x, 0o, 0b and the old octal 0; numbers in strings are decimal.
func base(n *yaml.Node) int {
	if n.ShortTag() == "!!int" {
		return 0
	}
	return 10
}

func (d *decoder) rangeError(n *yaml.Node, s, what, lo, hi string) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f == math.Trunc(f) || isDigits(s) {
		d.fail(n, "%s is out of range, want %s to %s", n.Value, lo, hi)
		return
	}
	e := d.fail(n, "want %s, found %s", what, describe(n))
	if strings.ContainsAny(s, "KMGkmg") && s[0] >= '0' && s[0] <= '9' {
		e.Suggestion = "sizes are plain numbers of bytes, without a unit"
	}
}

func isDigits(s string) bool {
	return s != "" && strings.Trim(strings.TrimLeft(s, "+-"), "0123456789") == ""
}

func (d *decoder) float(n *yaml.Node, bits int) (v protoreflect.Value, ok bool) {
	var f float64
	switch strings.ToLower(n.Value) {
	case ".nan", "nan":
		f = math.NaN()
	case ".inf", "+.inf", "infinity":
		f = math.Inf(1)
	case "-.inf", "-infinity":
		f = math.Inf(-1)
	default:
		s, ok := d.number(n, "a number")
		if !ok {
			return v, false
		}
		var err error
		if i, ierr := strconv.ParseInt(s, 0, 64); ierr == nil && n.ShortTag() == "!!int" {
			f = float64(i) // 0x10
		} else if f, err = strconv.ParseFloat(s, 64); err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			d.fail(n, "want a number, found %s", describe(n))
			return v, false
		}
	}
	if bits == 32 {
		if math.Abs(f) > math.MaxFloat32 && !math.IsInf(f, 0) {
			d.fail(n, "%s is out of range for a 32-bit number", n.Value)
			return v, false
		}
		return protoreflect.ValueOfFloat32(float32(f)), true
	}
	return protoreflect.ValueOfFloat64(f), true
}
