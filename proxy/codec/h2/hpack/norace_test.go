//go:build !race

package hpack

// racing is false: pools keep what they are given.
const racing = false
