//go:build !race

package h2

// racing is false: pools keep what they are given.
const racing = false
