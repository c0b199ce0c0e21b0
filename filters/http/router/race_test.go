//go:build race

package router_test

// racing says that pools drop things at random, as they do under the race detector.
const racing = true
