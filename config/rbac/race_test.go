//go:build race

package rbac

// racing says that pools drop things at random, as they do under the race detector.
const racing = true
