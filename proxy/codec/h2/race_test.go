//go:build race

package h2

// racing says that pools drop things at random, as they do under the race detector.
const racing = true
