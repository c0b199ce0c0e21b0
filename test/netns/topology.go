package netns

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The names of the interfaces of a [Topology].
const (
	// ClientLink is the gateway's interface towards the client.
	ClientLink = "lan0"
	// ServerLink is the gateway's interface towards the server.
	ServerLink = "wan0"
	// EndLink is the only interface, beside lo, of the client and of the server.
	EndLink = "eth0"
)

// Options shape a [Topology]. The zero value is the usual one.
type Options struct {
	// ServerAddrs are further addresses of the server (e.g. of origins v1 and v2),
	// each within 10.91.2.0/24 or fd91:2::/64.
	ServerAddrs []netip.Addr
	// ClientAddrs are further addresses of the client, within 10.91.1.0/24 or fd91:1::/64.
	ClientAddrs []netip.Addr
	// NoForward leaves forwarding off in the gateway.
	NoForward bool
	// Named shows the namespaces to `ip netns` as weir-<random>-client, -gateway, -server.
	Named bool
}

// Topology is client — gateway — server: three namespaces joined by two veth
// pairs. The gateway is the default route of both ends and forwards IPv4 and
// IPv6 between them; this is where a transparent proxy runs.
//
//	client 10.91.1.2 fd91:1::2  ─ lan0 gateway wan0 ─  server 10.91.2.2 fd91:2::2
type Topology struct {
	Client, Gateway, Server *NS
}

// Addresses of the topology: the same in every one, since namespaces are apart.
func (t *Topology) ClientAddr4() netip.Addr { return addr4(1, 2) }

// ClientAddr6 is the client's IPv6 address.
func (t *Topology) ClientAddr6() netip.Addr { return addr6(1, 2) }

// GatewayAddr4 is the gateway's IPv4 address on the client's side.
func (t *Topology) GatewayAddr4() netip.Addr { return addr4(1, 1) }

// GatewayAddr6 is the gateway's IPv6 address on the client's side.
func (t *Topology) GatewayAddr6() netip.Addr { return addr6(1, 1) }

// ServerAddr4 is the server's IPv4 address.
func (t *Topology) ServerAddr4() netip.Addr { return addr4(2, 2) }

// ServerAddr6 is the server's IPv6 address.
func (t *Topology) ServerAddr6() netip.Addr { return addr6(2, 2) }

func addr4(subnet, host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 91, subnet, host}) }

func addr6(subnet, host byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x91, 3: subnet, 15: host})
}

// NewTopology makes the three namespaces and their links. On error nothing is left.
func NewTopology(o Options) (_ *Topology, err error) {
	id := make([]byte, 3)
	_, _ = rand.Read(id) // never fails: crypto/rand
	prefix := "weir-" + hex.EncodeToString(id) + "-"

	t := &Topology{}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.Close())
		}
	}()
	for _, e := range []struct {
		ns   **NS
		name string
	}{{&t.Client, "client"}, {&t.Gateway, "gateway"}, {&t.Server, "server"}} {
		if *e.ns, err = New(prefix + e.name); err != nil {
			return nil, err
		}
		if o.Named {
			if err = (*e.ns).Bind(); err != nil {
				return nil, err
			}
		}
	}
	if err = t.join(t.Client, ClientLink, 1, o.ClientAddrs); err != nil {
		return nil, err
	}
	if err = t.join(t.Server, ServerLink, 2, o.ServerAddrs); err != nil {
		return nil, err
	}
	// Each interface has a global and a link-local address.
	for _, e := range []struct {
		ns   *NS
		want int
	}{{t.Client, 2 + count6(o.ClientAddrs)}, {t.Server, 2 + count6(o.ServerAddrs)}, {t.Gateway, 4}} {
		if err = e.ns.Do(func() error { return settle(e.want) }); err != nil {
			return nil, fmt.Errorf("netns %q: %w", e.ns.Name, err)
		}
	}
	if !o.NoForward {
		for _, key := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
			if err = t.Gateway.SetSysctl(key, "1"); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

func count6(addrs []netip.Addr) (n int) {
	for _, a := range addrs {
		if a.Is6() {
			n++
		}
	}
	return n
}

// join links the gateway's interface gw to end, in subnet 10.91.<subnet>.0/24
// and fd91:<subnet>::/64, and makes the gateway end's default route.
func (t *Topology) join(end *NS, gw string, subnet byte, more []netip.Addr) error {
	err := t.Gateway.Do(func() error {
		veth := &netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: gw},
			PeerName:      EndLink,
			PeerNamespace: netlink.NsFd(end.Fd()),
		}
		if err := netlink.LinkAdd(veth); err != nil {
			return fmt.Errorf("add veth %s: %w", gw, err)
		}
		return setup(gw, []netip.Addr{addr4(subnet, 1), addr6(subnet, 1)})
	})
	if err != nil {
		return fmt.Errorf("netns %q: %w", t.Gateway.Name, err)
	}
	err = end.Do(func() error {
		if err := setup(EndLink, append([]netip.Addr{addr4(subnet, 2), addr6(subnet, 2)}, more...)); err != nil {
			return err
		}
		for _, via := range []netip.Addr{addr4(subnet, 1), addr6(subnet, 1)} {
			if err := netlink.RouteAdd(&netlink.Route{Gw: net.IP(via.AsSlice())}); err != nil {
				return fmt.Errorf("add default route via %s: %w", via, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("netns %q: %w", end.Name, err)
	}
	return nil
}

// setup gives the interface its addresses and sets it up. Nothing is left to the
// kernel's own time: there is no duplicate address detection, and the link-local
// address, which the kernel would add when the carrier is seen, is given too.
func setup(name string, addrs []netip.Addr) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	for _, s := range [][2]string{{"accept_dad", "0"}, {"addr_gen_mode", "1"}} { // 1: IN6_ADDR_GEN_MODE_NONE
		if err := os.WriteFile(sysctlPath("net.ipv6.conf."+name+"."+s[0]), []byte(s[1]), 0); err != nil {
			return fmt.Errorf("set %s of %s: %w", s[0], name, err)
		}
	}
	for _, a := range append(addrs, linkLocal(addrs[0])) {
		bits := 24
		if a.Is6() {
			bits = 64
		}
		na := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}}
		if a.Is6() {
			na.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, na); err != nil {
			return fmt.Errorf("add %s to %s: %w", a, name, err)
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

// settleTimeout is far beyond the few milliseconds that the kernel takes.
const settleTimeout = 5 * time.Second

// settle waits until the kernel has made the local routes of the thread's
// namespace, want IPv6 addresses beside ::1: it does so in the background, when
// both ends of a link are up.
func settle(want int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	filter := &netlink.Route{Table: unix.RT_TABLE_LOCAL, Type: unix.RTN_LOCAL}
	for deadline := time.Now().Add(settleTimeout); ; <-tick.C {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, filter, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_TYPE)
		if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
			return fmt.Errorf("list local routes: %w", err)
		}
		if err == nil && len(routes) > want {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("local routes: %d after %v, want %d", len(routes), settleTimeout, want+1)
		}
	}
}

// linkLocal makes fe80::<subnet>:<host> of 10.91.<subnet>.<host>.
func linkLocal(a netip.Addr) netip.Addr {
	b := a.As4()
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: b[2], 15: b[3]})
}

// Close closes the three namespaces and everything started in them.
func (t *Topology) Close() error {
	var errs []error
	for _, n := range []*NS{t.Client, t.Server, t.Gateway} {
		if n != nil {
			errs = append(errs, n.Close())
		}
	}
	return errors.Join(errs...)
}
