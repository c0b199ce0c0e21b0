//go:build !race

package buffer

// racing is false: pools keep what they are given.
const racing = false
