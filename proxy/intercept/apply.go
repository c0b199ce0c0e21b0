package intercept

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// ErrOwned is returned when a live process holds the plan's table: nobody else
// may change it.
var ErrOwned = errors.New("owned by a running process")

// Apply makes the plan real in the network namespace of the calling thread, and
// returns a handle that undoes it from any thread.
//
// The routes and policy rules come first and the table last, in one transaction
// that replaces an older table of the same name: there is no moment in which
// packets are marked without a way to go, or half of the exclusions hold. On an
// error everything is as before. What dead processes of Weir left is removed.
//
// Applying an Installed plan again is idempotent. A Resident table can only be
// changed through the handle that holds it (Reapply): for anybody else, Apply
// returns an error that is ErrOwned.
func Apply(p Plan, mode Mode) (*Handle, error) {
	p = p.WithDefaults()
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	if mode == Resident && p.Backend != NFT && p.OnDown == Drop {
		return nil, fmt.Errorf("intercept %q: on_down drop of a process needs the backend nft; or install the rules (weir intercept up)", p.Name)
	}
	l, err := lock()
	if err != nil {
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	defer l.Close()

	h := &Handle{mode: mode, plan: p}
	if h.netns, err = netnsID(); err != nil {
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	if h.fw, err = dialFirewall(p.Backend); err != nil {
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	if h.rt, err = dialRT(); err != nil {
		h.fw.close()
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	if err := h.apply(); err != nil {
		h.release()
		return nil, fmt.Errorf("intercept %q: %w", p.Name, err)
	}
	return h, nil
}

// apply runs under the lock of the runtime directory.
func (h *Handle) apply() (err error) {
	p := h.plan
	there, err := listAll()
	if err != nil {
		return err
	}
	old, others, err := survey(p, there)
	if err == nil {
		err = h.checkMarks()
	}
	if err != nil {
		return err
	}
	rec, found, err := readRecord(p.Name)
	if err != nil {
		return err
	}
	keep := others
	if old == nil {
		// A process died under this name, or another one: clear the ground.
		if found {
			err = restoreSysctls(rec.Sysctls)
			found = false
		}
	} else if k, ok := parseTableComment(old.comment); ok {
		keep = append(slices.Clone(others), k) // in use until the new table is in
	}
	if err := errors.Join(err, h.rt.orphans(keep, nil), h.rt.checkForeign(p)); err != nil {
		return err
	}

	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				err = errors.Join(err, f())
			}
		}
	}()
	if h.sysctls, err = openSysctls(p.Sysctls); err != nil {
		return err
	}
	before := h.sysctls.old()
	if found {
		h.sysctls.original(rec.Sysctls)
	}
	undo = append(undo, func() error {
		if found {
			return rec.write()
		}
		return removeRecord(p.Name)
	})
	next := record{
		Version: 1, Mode: h.mode, PID: os.Getpid(), Started: processStarted(os.Getpid()), Plan: p, Netns: h.netns, Sysctls: h.sysctls.old(),
	}
	if next.Shared, err = h.fw.shared(); err != nil {
		return err
	}
	if found {
		next.Shared = rec.Shared
		next.Sysctls = rec.Sysctls // of the keys that only the old plan changes, too, until done
		for _, s := range h.sysctls.old() {
			if !slices.Contains(next.Sysctls, s) {
				next.Sysctls = append(next.Sysctls, s)
			}
		}
	}
	h.shared = next.Shared
	if err := next.write(); err != nil {
		return err
	}
	undo = append(undo, func() error { return h.fw.tidy(h.shared) })
	for i, s := range p.Sysctls {
		undo = append(undo, func() error { return h.sysctls[i].write(before[i].Value) })
		if err := h.sysctls[i].write(s.Value); err != nil {
			return err
		}
	}
	for _, r := range p.routing() {
		created, err := h.rt.add(r)
		if err != nil {
			return err
		}
		if created {
			undo = append(undo, func() error { return h.rt.del(r) })
		}
	}
	if err := h.fw.replace(p, h.mode, old != nil); err != nil {
		return err
	}
	if old == nil {
		return nil
	}
	// The new table is in: what only the old one used can go.
	undo = nil
	next.Sysctls = h.sysctls.old()
	stale := slices.DeleteFunc(slices.Clone(rec.Sysctls), func(s Sysctl) bool { return slices.Contains(next.Sysctls, s) })
	return errors.Join(restoreSysctls(stale), h.rt.orphans(append(others, p.key()), p.routing()), next.write())
}

// survey looks at the interceptions that are there: the one of the plan's name,
// nil if there is none, and what policy rules and routes the others use. It
// refuses one that somebody else holds, and a plan that would share marks or
// tables with another.
func survey(p Plan, there []installed) (old *installed, others []routingKey, err error) {
	for _, t := range there {
		if t.name == p.Name {
			if by := t.heldBy(); by != "" {
				return nil, nil, fmt.Errorf("%s is %w (%s)", t, ErrOwned, by)
			}
			if t.backend != p.Backend && (t.backend == NFT || p.Backend != IPTables) {
				return nil, nil, fmt.Errorf("backend: %q is installed with %s already: remove it first", t.name, t.backend)
			}
			old = &t
			continue
		}
		k, ok := parseTableComment(t.comment)
		if !ok {
			continue
		}
		others = append(others, k)
		if p.Redirect || k == (routingKey{}) {
			continue // nothing that two could share
		}
		switch {
		case k.table == p.Table:
			err = fmt.Errorf("table: route table %d is used by %s", p.Table, t)
		case k.priority <= p.Priority+2 && p.Priority <= k.priority+2:
			err = fmt.Errorf("priority: %d to %d meets that of %s, %d to %d", p.Priority, p.Priority+2, t, k.priority, k.priority+2)
		case p.Mark&k.mask == k.mark || k.mark&p.MarkMask == p.Mark:
			err = fmt.Errorf("mark: %#x/%#x cannot be told from that of %s, %#x/%#x", p.Mark, p.MarkMask, t, k.mark, k.mask)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return old, others, nil
}

// checkForeign refuses a route table that somebody else uses.
func (c *rtConn) checkForeign(p Plan) error {
	if p.Redirect {
		return nil // it has no use for one
	}
	for _, v6 := range []bool{false, true} {
		routes, err := c.routes(v6, p.Table)
		if err != nil {
			return err
		}
		for _, r := range routes {
			if r.Protocol != protocol {
				return fmt.Errorf("table: route table %d has a route that is not ours: %s", p.Table, r)
			}
		}
	}
	return nil
}
