package match

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/weirproxy/weir/config/runtime"
)

// A Flag is a switch: a compiled RuntimeFeatureFlag. The zero value is off.
type Flag struct {
	on  bool
	key *runtime.Key
}

// NewFlag compiles a RuntimeFeatureFlag, which is unset when it is not there.
// The registry has its key; with nil the default_value always counts.
func NewFlag(p *corev3.RuntimeFeatureFlag, unset bool, r *runtime.Registry) Flag {
	if p == nil {
		return Flag{on: unset}
	}
	return Flag{p.GetDefaultValue().GetValue(), r.Key(p.GetRuntimeKey())}
}

// Never tells whether the switch is off and always will be.
func (f Flag) Never() bool { return !f.on && f.key == nil }

// On tells what the switch says now.
func (f Flag) On() bool { return f.key.Bool(f.on) }
