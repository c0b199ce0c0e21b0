package match

import (
	"errors"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"

	"github.com/weirproxy/weir/config/runtime"
)

// Fraction is a share of requests: a compiled FractionalPercent. The zero value
// takes none.
//
// Every draw of a request is derived from the request's one random number and a
// salt of its use, so that two draws are independent of each other and asking
// twice gives the same answer.
//
// A Fraction with a runtime key has the share that the runtime says, at every
// draw; what was configured counts as long as no layer has the key.
type Fraction struct {
	num, den uint64
	salt     uint64
	key      *runtime.Key
}

// NewFraction compiles a FractionalPercent; use names what it decides, for
// instance the field path, and nothing else draws with that name.
func NewFraction(p *typev3.FractionalPercent, use string) (Fraction, error) {
	if p == nil {
		return Fraction{}, errors.New("unset")
	}
	f := Fraction{num: uint64(p.Numerator), salt: Salt(use)}
	switch p.Denominator {
	case typev3.FractionalPercent_HUNDRED:
		f.den = 100
	case typev3.FractionalPercent_TEN_THOUSAND:
		f.den = 10_000
	case typev3.FractionalPercent_MILLION:
		f.den = 1_000_000
	default:
		return Fraction{}, fail("denominator", "unknown value %d", p.Denominator)
	}
	return f, nil
}

// NewShare is a Fraction of none, for a key to say more.
func NewShare(use string) Fraction { return Fraction{den: 100, salt: Salt(use)} }

// NewRuntimeFraction compiles a RuntimeFractionalPercent. The registry has its
// key; with nil the default_value always counts.
func NewRuntimeFraction(p *corev3.RuntimeFractionalPercent, use string, r *runtime.Registry) (Fraction, error) {
	if p == nil {
		return Fraction{}, errors.New("unset")
	}
	f, err := NewFraction(p.DefaultValue, use)
	return f.WithKey(r.Key(p.RuntimeKey)), at("default_value", err)
}

// WithKey is f with the share that a runtime key says.
func (f Fraction) WithKey(k *runtime.Key) Fraction {
	f.key = k
	return f
}

// share is what counts now.
func (f Fraction) share() (num, den uint64) {
	if v := f.key.Value(); v != nil {
		if s, ok := v.Share(); ok {
			return s.Num, s.Den
		}
	}
	return f.num, f.den
}

// Hit tells whether the request with that random number is among the share.
func (f Fraction) Hit(rand uint64) bool {
	num, den := f.share()
	switch {
	case num == 0:
		return false
	case num >= den:
		return true
	}
	return Draw(rand, f.salt, den) < num
}

// Match is Hit with a trace.
func (f Fraction) Match(rand uint64, tr *Trace) bool {
	ok := f.Hit(rand)
	if tr != nil {
		_, den := f.share()
		tr.Note(ok, "fraction", "drew %d, wanted below %s", Draw(rand, f.salt, den), f)
	}
	return ok
}

// Always tells whether every request is among the share and always will be.
func (f Fraction) Always() bool { return f.key == nil && f.den > 0 && f.num >= f.den }

// String gives the share that counts now: "25/100".
func (f Fraction) String() string {
	num, den := f.share()
	return strconv.FormatUint(num, 10) + "/" + strconv.FormatUint(den, 10)
}

// Draw gives a number in [0, n) from a request's random number and the salt of a
// use; 0 when n is 0.
func Draw(rand, salt, n uint64) uint64 {
	if n == 0 {
		return 0
	}
	return mix(rand+salt) % n
}

// Salt makes a salt of a name (FNV-1a).
func Salt(use string) uint64 {
	h := uint64(14695981039346656037)
	for i := 0; i < len(use); i++ {
		h = (h ^ uint64(use[i])) * 1099511628211
	}
	return mix(h)
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014): a bijection in
// which every input bit moves every output bit.
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
