package runtime

import (
	"maps"
	"slices"
	"strings"
)

// A KeyRow is a row of the table of Envoy's own keys. All other keys are named by configurations (runtime_key).
type KeyRow struct {
	Name string // one ending in "*" is every key that begins so
	Type string // "integer", "percent" …; "" for a key that is not read
	Does string // what it changes, or why it is not read
	Bad  bool   // nothing reads it, and Envoy would serve differently: it is refused
}

// Keys is the table of keys that Envoy reads without being told to by a configuration.
func Keys() []KeyRow {
	return []KeyRow{
		{Name: "envoy.reloadable_features.*", Does: "guards changes of Envoy's own code"},
		{Name: "envoy.restart_features.*", Does: "guards changes of Envoy's own code"},
		{Name: "envoy.deprecated_features.*", Does: "every supported field may be used"},
		{Name: "envoy.features.*", Does: "every supported field may be used"},
		{Name: "re2.*", Does: "regular expressions run in linear time, in memory bounded by their length"},
		{Name: "tracing.*", Does: "there is no tracing"},
		{Name: "overload.*", Bad: true, Does: "there is no overload manager"},
		{Name: "envoy.resource_limits.*", Bad: true, Does: "connections of a listener are not limited by runtime"},
	}
}

// Row finds the row of a key, false for a key of a configuration.
func Row(name string) (KeyRow, bool) {
	for _, r := range Keys() {
		if prefix, ok := strings.CutSuffix(r.Name, "*"); r.Name == name || ok && strings.HasPrefix(name, prefix) {
			return r, true
		}
	}
	return KeyRow{}, false
}

// An UnreadKey is a key that is set and would change in Envoy what is served, and here does not.
type UnreadKey struct{ Name, Why string }

// Unread gives those of some values, by name.
func Unread(values map[string]*Value) (out []UnreadKey) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if r, ok := Row(name); ok && r.Bad {
			out = append(out, UnreadKey{name, r.Does})
		}
	}
	return out
}
