package intercept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	mdl "github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// A lease is a mark in the kernel that expires: rules that need one take new
// connections only while it is there. Whoever dies, stops or hangs while it holds
// the lease, the guard included, takes no traffic LeaseTime later. There is one
// for each IP version.
const (
	// LeaseTime is how long a lease lasts without being renewed: enough for a busy
	// machine, and within the three seconds in which a client sends its SYN twice more.
	LeaseTime = 3 * time.Second
	// renewEvery leaves room for two renewals that come too late.
	renewEvery = LeaseTime / 4
)

// setLease is the name of the set of IP versions that have a lease.
const setLease = "lease"

// leaseSet adds the set, in which nothing is at first.
func (pr *program) leaseSet() *set {
	s := &set{name: setLease, id: uint32(len(pr.sets) + 1), kind: kindFamily}
	pr.sets = append(pr.sets, s)
	return s
}

// leaseMessages put a lease for the families in place of the one that may be
// there, or, without families, end it.
func leaseMessages(table string, f Families) []mdl.Message {
	of := []mdl.Attribute{attrString(unix.NFTA_SET_ELEM_LIST_TABLE, table), attrString(unix.NFTA_SET_ELEM_LIST_SET, setLease)}
	out := []mdl.Message{message(unix.NFT_MSG_DELSETELEM, 0, of...)} // all that there are
	var list []mdl.Attribute
	for _, x := range []struct {
		of    Families
		proto byte
	}{{IPv4, unix.NFPROTO_IPV4}, {IPv6, unix.NFPROTO_IPV6}} {
		if f&x.of != 0 {
			list = append(list, nest(unix.NFTA_LIST_ELEM,
				nest(unix.NFTA_SET_ELEM_KEY, attr(unix.NFTA_DATA_VALUE, []byte{x.proto})),
				attrU64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(LeaseTime.Milliseconds()))))
		}
	}
	if list == nil {
		return out
	}
	return append(out, message(unix.NFT_MSG_NEWSETELEM, mdl.Create, append(of, nest(unix.NFTA_SET_ELEM_LIST_ELEMENTS, list...))...))
}

// renew implements firewall.
func (w *nftWall) renew(p Plan, f Families) error {
	if err := w.nf.commit(leaseMessages(p.TableName(), f)); err != nil {
		return fmt.Errorf("renew the lease of table inet %s: %w", p.TableName(), err)
	}
	return nil
}

// leased implements firewall.
func (w *nftWall) leased(p Plan) (f Families, err error) {
	elems, err := w.nf.elements(p.TableName(), setLease)
	for _, e := range elems {
		switch string(e.key) {
		case string([]byte{unix.NFPROTO_IPV4}):
			f |= IPv4
		case string([]byte{unix.NFPROTO_IPV6}):
			f |= IPv6
		}
	}
	return f, err
}

// Renew holds the lease of the plan for LeaseTime from now on; it does nothing for
// plans without one. It may be called from any thread.
func (h *Handle) Renew() error { return h.renew(h.Plan().Families) }

// Expire ends the lease at once: new connections pass. What is intercepted stays.
func (h *Handle) Expire() error { return h.renew(0) }

func (h *Handle) renew(f Families) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fw == nil {
		return fmt.Errorf("intercept %q: renew: %w", h.plan.Name, os.ErrClosed)
	}
	if !h.plan.Lease {
		return nil
	}
	if err := h.fw.renew(h.plan, f); err != nil {
		return fmt.Errorf("intercept %q: %w", h.plan.Name, err)
	}
	return nil
}

// Hold renews the lease until ctx ends, and then ends it, so that new connections
// pass. While alive says no it is not renewed. report gets an error of renewing
// when it differs from the last one. For plans without a lease it returns at once.
func (h *Handle) Hold(ctx context.Context, alive func() bool, report func(error)) {
	if !h.Plan().Lease {
		return
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	last := ""
	for {
		var err error
		if alive() {
			err = h.Renew()
		}
		if err == nil {
			last = ""
		} else if errors.Is(err, os.ErrClosed) {
			return
		} else if last != err.Error() {
			last = err.Error()
			report(err)
		}
		select {
		case <-ctx.Done():
			_ = h.Expire() // it does so by itself
			return
		case <-tick.C:
		}
	}
}
