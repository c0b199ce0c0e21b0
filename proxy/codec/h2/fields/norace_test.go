//go:build !race

package fields

// racing is false: pools keep what they are given.
const racing = false
