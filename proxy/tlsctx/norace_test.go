//go:build !race

package tlsctx_test

const raceEnabled = false
