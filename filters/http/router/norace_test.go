//go:build !race

package router

const racing = false
