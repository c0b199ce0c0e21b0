package lb

// bound keeps a consistent-hash policy from overloading one member: none may
// have more requests in flight than limit times its fair share (Envoy:
// BoundedLoadHashingLoadBalancer, hash_balance_factor).
type bound struct {
	limit  float64 // 0: no bound
	share  []float64
	active []load
}

func newBound(percent uint32, members []Member) bound {
	if percent == 0 {
		return bound{}
	}
	b := bound{limit: float64(percent) / 100, active: make([]load, len(members))}
	b.share, _, _ = shares(members)
	for i, m := range members {
		b.active[i] = load{m.Active}
	}
	return b
}

// has tells whether member i may take one more request.
func (b *bound) has(i int) bool {
	total := int64(1)
	for _, a := range b.active {
		total += a.value()
	}
	allowed := max(1, ceil(b.limit*b.share[i]*float64(total)))
	return b.active[i].value() < allowed
}

func ceil(f float64) int64 {
	n := int64(f)
	if float64(n) < f {
		n++
	}
	return n
}
