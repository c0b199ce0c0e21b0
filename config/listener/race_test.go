//go:build race

package listener_test

// racing says that pools drop things at random, as they do under the race detector.
const racing = true
