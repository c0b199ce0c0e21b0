package upstream

// health is what the load of a priority is computed from.
type health struct {
	total, healthy, degraded int // hosts
}

// share is one priority's part of the load, in percent; all parts together are
// 100 unless there is nothing available at all.
type share struct {
	healthy, degraded uint32
	panicking         bool // all of its hosts are used, whatever their health
}

// distribute gives each priority its load: a priority keeps all of its load while
// its share of available hosts times the overprovisioning factor covers it, and
// what it cannot take goes to the next. overprovisioning and threshold are in
// percent (Envoy: load_balancing/priority, panic_threshold;
// LoadBalancerBase::recalculatePerPriorityState and …Panic).
func distribute(levels []health, overprovisioning uint32, threshold float64) []share {
	out := make([]share, len(levels))
	if len(levels) == 0 {
		return out
	}
	ok, deg := make([]uint32, len(levels)), make([]uint32, len(levels))
	total := uint32(0)
	for i, l := range levels {
		ok[i], deg[i] = availability(l.healthy, l.total, overprovisioning), availability(l.degraded, l.total, overprovisioning)
		total = min(100, total+ok[i]+deg[i])
	}
	if total > 0 {
		spread(out, ok, deg, total)
	}
	if threshold <= 0 && total == 0 {
		out[0].healthy = 100 // somewhere: there is nobody anyway
		return out
	}
	all := true
	for i, l := range levels {
		// Never in panic while the levels together can take everything.
		out[i].panicking = total < 100 && panics(l, threshold)
		all = all && out[i].panicking
	}
	if all {
		spreadPanic(out, levels)
	}
	return out
}

func availability(n, total int, overprovisioning uint32) uint32 {
	if total == 0 {
		return 0
	}
	return uint32(min(100, uint64(overprovisioning)*uint64(n)/uint64(total)))
}

func panics(l health, threshold float64) bool {
	percent := 0.0
	if l.total > 0 {
		percent = 100 * float64(l.healthy+l.degraded) / float64(l.total)
	}
	return percent < threshold
}

// spread hands out 100 percent, first by healthy hosts, the rest by degraded
// ones; what rounding leaves goes to the first level that has any.
func spread(out []share, ok, deg []uint32, total uint32) {
	left := uint32(100)
	first, firstDegraded := -1, -1
	for i := range out {
		if ok[i] > 0 && first < 0 {
			first = i
		}
		out[i].healthy = min(left, ok[i]*100/total)
		left -= out[i].healthy
	}
	for i := range out {
		if deg[i] > 0 && firstDegraded < 0 {
			firstDegraded = i
		}
		out[i].degraded = min(left, deg[i]*100/total)
		left -= out[i].degraded
	}
	switch {
	case first >= 0:
		out[first].healthy += left
	case firstDegraded >= 0:
		out[firstDegraded].degraded += left
	}
}

// spreadPanic hands out the load by the number of hosts: everybody is in panic.
func spreadPanic(out []share, levels []health) {
	hosts := 0
	for _, l := range levels {
		hosts += l.total
	}
	if hosts == 0 {
		out[0].healthy = 100
		return
	}
	left, first := uint32(100), -1
	for i, l := range levels {
		if l.total > 0 && first < 0 {
			first = i
		}
		part := uint32(100 * l.total / hosts)
		out[i].healthy, out[i].degraded = part, 0
		left -= part
	}
	out[first].healthy += left
}
