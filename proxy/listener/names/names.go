// Package names judges whether a name that a client gives (SNI, Host) belongs to
// the address that it connects to, by looking the name up.
//
// A look-up never stands in the way of whoever asks: what is not known yet is
// unknown, and who wants to wait is given what to wait for. Answers are kept, in
// bounds of number and time. Since servers of names give other addresses to other
// askers, and other ones a minute later, an address counts for an hour after it
// was last among a name's.
package names

import (
	"bytes"
	"container/list"
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// Bounds of a Checker.
const (
	maxNames   = 4096 // kept; the one not asked for the longest goes first
	maxAddrs   = 64   // of one name
	maxLookups = 64   // under way at once: clients choose the names
	remembered = time.Hour

	minTTL   = 10 * time.Second // however little the server says
	maxTTL   = time.Hour
	retryTTL = 5 * time.Second // after a look-up that failed
	timeout  = 5 * time.Second // of one
)

// A Resolver looks names up; *dns.Resolver is one.
type Resolver interface {
	Resolve(ctx context.Context, name string, f cluster.DNSFamily) ([]netip.Addr, time.Duration, error)
}

// A Checker judges names. It is safe for concurrent use.
type Checker struct {
	r Resolver // set in New, never changed

	mu      sync.Mutex
	by      map[string]*list.Element // guarded by mu, like all below; of *entry
	used    list.List                // the latest first
	lookups int                      // under way
	ctx     context.Context          // of look-ups; nil: none is begun
	wg      sync.WaitGroup
}

type entry struct {
	name    string
	addrs   []seen
	until   time.Time     // the answer holds until then
	known   bool          // there was an answer; without one nothing can be told
	pending chan struct{} // closed when the look-up under way is over; nil: none is
}

type seen struct {
	addr netip.Addr
	at   time.Time
}

// New makes a Checker, which looks nothing up before Run.
func New(r Resolver) *Checker { return &Checker{r: r, by: map[string]*list.Element{}} }

// Run lets names be looked up until ctx ends, and waits for the last look-up.
func (c *Checker) Run(ctx context.Context) {
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	<-ctx.Done()
	c.mu.Lock()
	c.ctx = nil
	c.mu.Unlock()
	c.wg.Wait()
}

// Check judges a name, in lower case and without port, for a destination. With
// info.NameUnknown it gives what is closed when more is known, nil when nothing will be.
func (c *Checker) Check(name []byte, dest netip.Addr) (info.NameVerdict, <-chan struct{}) {
	if len(name) == 0 || !dest.IsValid() {
		return info.NameUnchecked, nil
	}
	dest = dest.Unmap().WithZone("")
	if last := name[len(name)-1]; '0' <= last && last <= '9' || bytes.IndexByte(name, ':') >= 0 {
		if a, err := netip.ParseAddr(string(name)); err == nil {
			return verdict(a.Unmap().WithZone("") == dest), nil
		}
	}
	if !resolvable(name) {
		return info.NameMismatch, nil // nobody gets an address of it
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entry(name)
	for i := range e.addrs {
		if e.addrs[i].addr == dest && now.Sub(e.addrs[i].at) < remembered {
			return info.NameMatches, nil
		}
	}
	if now.Before(e.until) {
		if e.known {
			return info.NameMismatch, nil
		}
		return info.NameUnknown, nil
	}
	c.lookUp(e)
	if e.pending == nil {
		return info.NameUnknown, nil
	}
	return info.NameUnknown, e.pending
}

// Wait is Check that waits for what is not known yet, for a time at most.
func (c *Checker) Wait(ctx context.Context, name []byte, dest netip.Addr, d time.Duration) info.NameVerdict {
	v, more := c.Check(name, dest)
	if more == nil {
		return v
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-more:
		v, _ = c.Check(name, dest)
	case <-t.C:
	case <-ctx.Done():
	}
	return v
}

func verdict(matches bool) info.NameVerdict {
	if matches {
		return info.NameMatches
	}
	return info.NameMismatch
}

// resolvable tells whether a name could be one of a host (RFC 1035 §2.3.4, and underscores).
func resolvable(name []byte) bool {
	if len(name) > 253 {
		return false
	}
	label := 0
	for _, b := range name {
		switch {
		case b == '.' && label == 0:
			return false
		case b == '.':
			label = 0
			continue
		case 'a' <= b && b <= 'z', '0' <= b && b <= '9', b == '-', b == '_':
		default:
			return false
		}
		if label++; label > 63 {
			return false
		}
	}
	return true
}

// entry gives what is known of a name; c.mu is held.
func (c *Checker) entry(name []byte) *entry {
	if e := c.by[string(name)]; e != nil {
		c.used.MoveToFront(e)
		return e.Value.(*entry)
	}
	v := &entry{name: string(name)}
	c.by[v.name] = c.used.PushFront(v)
	for len(c.by) > maxNames {
		last := c.used.Back()
		delete(c.by, last.Value.(*entry).name)
		c.used.Remove(last)
	}
	return v
}

// lookUp begins a look-up unless one is under way or there are too many; c.mu is held.
func (c *Checker) lookUp(e *entry) {
	if e.pending != nil || c.ctx == nil || c.ctx.Err() != nil || c.lookups >= maxLookups {
		return
	}
	c.lookups++
	e.pending = make(chan struct{})
	ctx := c.ctx
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		addrs, ttl, err := c.r.Resolve(ctx, e.name, cluster.All)
		c.answered(e, addrs, ttl, err)
	})
}

// answered takes the answer of a look-up.
func (c *Checker) answered(e *entry, addrs []netip.Addr, ttl time.Duration, err error) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookups--
	close(e.pending)
	e.pending = nil
	if err != nil && !errors.Is(err, dns.ErrNoSuchName) && !errors.Is(err, dns.ErrNoAddress) {
		e.known, e.until = false, now.Add(retryTTL)
		return
	}
	e.known, e.until = true, now.Add(min(max(ttl, minTTL), maxTTL))
	kept := e.addrs[:0]
	for _, s := range e.addrs {
		if now.Sub(s.at) < remembered && !contains(addrs, s.addr) {
			kept = append(kept, s)
		}
	}
	for _, a := range addrs {
		kept = append(kept, seen{a.Unmap().WithZone(""), now})
	}
	e.addrs = kept[max(len(kept)-maxAddrs, 0):]
}

func contains(addrs []netip.Addr, a netip.Addr) bool {
	for _, b := range addrs {
		if b.Unmap().WithZone("") == a {
			return true
		}
	}
	return false
}

// Host gives the name in an authority (RFC 3986 §3.2.2) as Check wants it: without port, brackets and final dot, in
// lower case, appended to dst.
func Host(dst, authority []byte) []byte {
	h := authority
	if len(h) > 0 && h[0] == '[' {
		for i, b := range h {
			if b == ']' {
				return append(dst, h[1:i]...)
			}
		}
		return dst
	}
	for i, b := range h {
		if b == ':' {
			h = h[:i]
			break
		}
	}
	if n := len(h); n > 1 && h[n-1] == '.' {
		h = h[:n-1]
	}
	for _, b := range h {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		dst = append(dst, b)
	}
	return dst
}
