//go:build !race

package buffer

import "testing"

func skipUnderRace(*testing.T) {}
