//go:build race

package buffer

import "testing"

// skipUnderRace skips tests of allocations: the race detector makes pools drop
// objects at random.
func skipUnderRace(t *testing.T) { t.Skip("pools drop objects at random under the race detector") }
