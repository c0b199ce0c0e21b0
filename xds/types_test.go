package xds

import (
	"testing"

	"github.com/weirproxy/weir/config"
)

// The table of types here says what the protocol does with what config.Types lists.
func TestTypesAreThoseOfConfig(t *testing.T) {
	types := config.Types()
	if len(types) != int(kinds) {
		t.Fatalf("config has %d types, xds %d", len(types), kinds)
	}
	for i, c := range types {
		if r := rows[i]; r.url != c.TypeURL || r.short != c.Short || r.noun != c.Kind || r.full != c.FullState {
			t.Errorf("row %d is %+v, config has %s %s %s full=%v", i, r, c.TypeURL, c.Short, c.Kind, c.FullState)
		}
	}
}
