package upstream

import (
	"time"

	"github.com/weirproxy/weir/config/cluster"
)

// A row is one locality of an assignment with the hosts that it came to. Rows are compared with those of the next assignment, so that
// an endpoint that changed costs what one costs.
type row struct {
	place *place
	from  []*cluster.Endpoint
	hosts []*Host // by place in from; nil when some endpoint has no host of its own
}

// rowsOf gives the rows of an assignment; localities that are what they were keep their place.
func rowsOf(a *cluster.Assignment, old []row) []row {
	if a == nil {
		return nil
	}
	out := make([]row, len(a.Localities))
	for i := range out {
		p := placeOf(&a.Localities[i])
		if i < len(old) && old[i].place.equal(p) {
			p = old[i].place
		}
		out[i] = row{place: p, from: a.Localities[i].Endpoints}
	}
	return out
}

// seat gives the rows their hosts, where every endpoint has one and there are no others. c.mu is held.
func (c *Cluster) seat() {
	n := 0
	for i := range c.rows {
		n += len(c.rows[i].from)
	}
	if n != len(c.order) {
		return // an address comes twice, or a host stays that has no endpoint
	}
	for i, at := 0, 0; i < len(c.rows); i++ {
		end := at + len(c.rows[i].from)
		c.rows[i].hosts = c.order[at:end:end]
		at = end
	}
}

// A patch is what differs between two assignments.
type patch struct {
	leaving map[string]*Host // of endpoints that are gone, or changed
	coming  []arrival        // endpoints that are new, or changed
	kept    [][2]int         // by row: how many hosts at its beginning and at its end are the same
	touched [maxPriority + 1]bool
}

type arrival struct {
	row, at int
	member  member
}

// patch takes the rows in force as a change of the old ones. It does nothing and tells so where that is not simpler than to look at
// all: much changed, an address comes twice, or hosts are checked, which then may stay without an endpoint. c.mu is held.
func (c *Cluster) patch(old []row) bool {
	seats := 0
	for i := range old {
		if seats += len(old[i].hosts); len(old[i].hosts) != len(old[i].from) {
			return false
		}
	}
	if seats == 0 || seats != len(c.order) || c.cfg.Load().Health != nil {
		return false
	}
	p := compare(old, c.rows, seats/4)
	if p == nil || !c.distinct(p) {
		return false
	}
	now, changed := time.Now(), false
	c.order = c.fill(old, p)
	for i := range p.coming {
		a := &p.coming[i]
		h, fresh := c.admit(&a.member, now)
		changed = changed || fresh
		c.rows[a.row].hosts[a.at] = h
		delete(p.leaving, h.key)
	}
	for _, h := range p.leaving {
		c.drop(h, now)
		changed = true
	}
	if changed {
		c.stats.MembershipChange.Inc()
	}
	if c.stale {
		c.rebuild()
	} else {
		c.use(c.plan.build(c.order, levelsOf(c.rows, &p.touched), c.set.Load(), &p.touched))
	}
	return true
}

// compare finds what differs; nil when that is more than most.
func compare(old, now []row, most int) *patch {
	p := &patch{leaving: map[string]*Host{}, kept: make([][2]int, len(now))}
	for i := range max(len(old), len(now)) {
		var was, is row
		if i < len(old) {
			was = old[i]
		}
		if i < len(now) {
			is = now[i]
		}
		head, tail := 0, 0
		if was.place == is.place {
			head, tail = alike(was.from, is.from)
		}
		if i < len(now) {
			p.kept[i] = [2]int{head, tail}
		}
		gone, come := was.hosts[head:len(was.from)-tail], is.from[head:len(is.from)-tail]
		if len(gone)+len(come) == 0 && was.place == is.place {
			continue
		}
		if len(p.leaving)+len(gone) > most || len(p.coming)+len(come) > most {
			return nil
		}
		for _, pl := range [...]*place{was.place, is.place} {
			if pl != nil {
				p.touched[pl.priority] = true
			}
		}
		for _, h := range gone {
			p.leaving[h.key] = h
		}
		for k, e := range come {
			m, ok := memberAt(e, is.place)
			if !ok {
				return nil
			}
			p.coming = append(p.coming, arrival{i, head + k, m})
		}
	}
	return p
}

// alike counts the endpoints that two lists both begin and both end with.
func alike(a, b []*cluster.Endpoint) (head, tail int) {
	n := min(len(a), len(b))
	if n > 0 && len(a) == len(b) && &a[0] == &b[0] {
		return n, 0
	}
	for head < n && a[head] == b[head] {
		head++
	}
	for tail < n-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}

// distinct tells whether nobody who comes has the address of one who stays, or of another who comes. c.mu is held.
func (c *Cluster) distinct(p *patch) bool {
	seen := make(map[string]bool, len(p.coming))
	for i := range p.coming {
		key := p.coming[i].member.key
		if seen[key] || c.byKey[key] != nil && p.leaving[key] == nil {
			return false
		}
		seen[key] = true
	}
	return true
}

// fill gives the rows the hosts that stay in their places, and room for the others; it gives all of them in order. c.mu is held.
func (c *Cluster) fill(old []row, p *patch) []*Host {
	n := 0
	for i := range c.rows {
		n += len(c.rows[i].from)
	}
	order := make([]*Host, n)
	for i, at := 0, 0; i < len(c.rows); i++ {
		r, end := &c.rows[i], at+len(c.rows[i].from)
		r.hosts = order[at:end:end]
		if head, tail := p.kept[i][0], p.kept[i][1]; head+tail > 0 {
			was := old[i].hosts
			copy(r.hosts, was[:head])
			copy(r.hosts[len(r.hosts)-tail:], was[len(was)-tail:])
		}
		at = end
	}
	return order
}

// levelsOf gives the hosts of rows by priority, those of the priorities that are touched.
func levelsOf(rows []row, touched *[maxPriority + 1]bool) (by [][]*Host) {
	for i := range rows {
		r := &rows[i]
		if len(r.hosts) == 0 {
			continue
		}
		for len(by) <= int(r.place.priority) {
			by = append(by, nil)
		}
		if l := &by[r.place.priority]; !touched[r.place.priority] {
			continue
		} else if *l == nil {
			*l = r.hosts // its capacity ends where it ends
		} else {
			*l = append(*l, r.hosts...)
		}
	}
	return by
}
