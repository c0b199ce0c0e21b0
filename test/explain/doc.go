// Package explain holds `weir explain` to what real traffic does: the same configurations and requests, made at random by a fixed
// seed, go through the data path and are asked about, and both must come to the same chain, route and cluster.
package explain
