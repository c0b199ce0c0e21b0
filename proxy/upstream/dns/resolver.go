// Package dns resolves names to addresses and says how long the answer holds,
// which the standard library does not tell.
//
// It is a stub resolver (RFC 1035 over UDP, TCP when an answer is truncated) that
// asks the servers of resolv.conf and reads the hosts file; it validates nothing
// and keeps no cache: who asks keeps the answer for as long as it holds.
package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/cluster"
)

// Errors a caller may want to tell apart.
var (
	ErrNoSuchName = errors.New("no such name")
	ErrNoAddress  = errors.New("name has no address of that family")
)

// A Resolver looks names up. It is safe for concurrent use.
type Resolver struct {
	config func() *Config
	dialer net.Dialer
}

// New makes a resolver. config is asked at every lookup, so that a changed
// resolv.conf counts; mark, when not zero, is set on its sockets (SO_MARK), so that
// what it sends is not intercepted.
func New(config func() *Config, mark uint32) *Resolver {
	r := &Resolver{config: config}
	if mark != 0 {
		r.dialer.Control = func(_, _ string, c syscall.RawConn) error {
			var err error
			if cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark))
			}); cerr != nil {
				return cerr
			}
			return err
		}
	}
	return r
}

// Resolve gives the addresses of a name in the server's order, and for how long
// they hold: the least TTL of the records. With ErrNoSuchName and ErrNoAddress the
// TTL is that of the negative answer (RFC 2308 §5), 0 when there was none.
func (r *Resolver) Resolve(ctx context.Context, name string, f cluster.DNSFamily) ([]netip.Addr, time.Duration, error) {
	if a, err := netip.ParseAddr(name); err == nil {
		return []netip.Addr{a}, hostsTTL, nil
	}
	c := r.config()
	if all := c.Hosts[strings.ToLower(strings.TrimSuffix(name, "."))]; len(all) > 0 {
		if addrs := filter(all, f); len(addrs) > 0 {
			return addrs, hostsTTL, nil
		}
	}
	var first, second dnsmessage.Type
	switch f {
	case cluster.V4Only:
		first = dnsmessage.TypeA
	case cluster.V6Only:
		first = dnsmessage.TypeAAAA
	case cluster.V4Preferred:
		first, second = dnsmessage.TypeA, dnsmessage.TypeAAAA
	default: // Auto prefers IPv6; All takes both
		first, second = dnsmessage.TypeAAAA, dnsmessage.TypeA
	}
	addrs, ttl, err := r.lookup(ctx, c, name, first)
	if second == 0 || err == nil && f != cluster.All || ctx.Err() != nil {
		return addrs, ttl, wrap(name, err)
	}
	more, ttl2, err2 := r.lookup(ctx, c, name, second)
	switch {
	case err == nil && err2 == nil:
		return append(addrs, more...), min(ttl, ttl2), nil
	case err == nil:
		return addrs, ttl, nil
	case err2 == nil:
		return more, ttl2, nil
	}
	return nil, ttl2, wrap(name, err2)
}

// hostsTTL is how long an entry of the hosts file holds: nobody says, and reading
// it again is cheap.
const hostsTTL = 30 * time.Second

func wrap(name string, err error) error {
	if err != nil {
		return fmt.Errorf("resolve %q: %w", name, err)
	}
	return nil
}

// filter keeps the addresses of the families asked for, as a server would have
// answered.
func filter(all []netip.Addr, f cluster.DNSFamily) []netip.Addr {
	var v4, v6 []netip.Addr
	for _, a := range all {
		if a.Is4() {
			v4 = append(v4, a)
		} else {
			v6 = append(v6, a)
		}
	}
	switch {
	case f == cluster.V4Only, f == cluster.V4Preferred && len(v4) > 0:
		return v4
	case f == cluster.V6Only, f == cluster.FamilyAuto && len(v6) > 0:
		return v6
	case f == cluster.V4Preferred:
		return v6
	case f == cluster.FamilyAuto:
		return v4
	}
	return append(v6, v4...)
}

// lookup asks for one type, along the search list.
func (r *Resolver) lookup(ctx context.Context, c *Config, name string, t dnsmessage.Type) (addrs []netip.Addr, ttl time.Duration, err error) {
	err = ErrNoSuchName
	for _, n := range c.names(name) {
		var nerr error
		addrs, ttl, nerr = r.ask(ctx, c, n, t)
		switch {
		case nerr == nil:
			return addrs, ttl, nil
		case errors.Is(nerr, ErrNoAddress):
			err = nerr // the name exists, so this says more than a later "no such name"
		case !errors.Is(nerr, ErrNoSuchName):
			return nil, 0, nerr
		}
	}
	return nil, ttl, err
}

// ask puts one question to the servers until one gives an answer.
func (r *Resolver) ask(ctx context.Context, c *Config, name string, t dnsmessage.Type) ([]netip.Addr, time.Duration, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, 0, err
	}
	q := dnsmessage.Question{Name: n, Type: t, Class: dnsmessage.ClassINET}
	last := errors.New("no name server")
	for range c.Attempts {
		for _, s := range c.Servers {
			addrs, ttl, err := r.exchange(ctx, c, s, q)
			if err == nil || errors.Is(err, ErrNoSuchName) || errors.Is(err, ErrNoAddress) {
				return addrs, ttl, err
			}
			if ctx.Err() != nil {
				return nil, 0, context.Cause(ctx)
			}
			last = fmt.Errorf("name server %s: %w", s, err)
		}
	}
	return nil, 0, last
}
