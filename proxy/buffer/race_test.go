//go:build race

package buffer

// racing says that pools drop things at random, as they do under the race detector.
const racing = true
