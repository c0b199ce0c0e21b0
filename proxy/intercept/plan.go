package intercept

import (
	"fmt"
	"net/netip"
)

// The defaults of the marks: bits that are free among those that other programs
// take from the 32-bit packet mark. Tailscale has 0x00ff0000, Calico 0xffff0000,
// kube-proxy 0x4000 and 0x8000, Cilium 0x0f00, Istio 0x539 and 0x111, the AWS CNI
// 0x80, wg-quick 0xca6c (which has neither 0x1000 nor 0x2000).
const (
	// DefaultMarkMask covers the bits of the packet mark that Weir uses.
	DefaultMarkMask = 0x3000
	// DefaultMark is set on intercepted packets.
	DefaultMark = 0x1000
	// DefaultOwnMark is what Weir's own sockets carry (SO_MARK).
	DefaultOwnMark = 0x2000
	// DefaultLocalMark is set on packets of this machine's own programs (Plan.Local).
	DefaultLocalMark = 0x3000
	// DefaultTable is the route table: the number of Envoy's and Istio's usual
	// interception port, above the 255 classic tables that people number by hand.
	DefaultTable = 15001
	// DefaultPriority is the first of three consecutive `ip rule` priorities: ahead
	// of Tailscale (5210–5270), wg-quick (32764) and main (32766).
	DefaultPriority = 5100
	// DefaultName names the plan when there is only one.
	DefaultName = "main"
)

// sshPort is left alone unless Plan.SSH: a firewall mistake must not cut off the
// person who can repair it.
const sshPort = 22

// dnsPort is left alone unless Plan.DNS: names are looked up by UDP, which is never
// taken, and by TCP when an answer is long; both should ask the same server alike.
const dnsPort = 53

// OnDown says what happens to a wanted connection while nothing listens.
type OnDown uint8

// The values of OnDown.
const (
	// Pass lets it go to its destination: fail open.
	Pass OnDown = iota
	// Drop drops it: fail closed.
	Drop
)

// String is the word of the configuration: "pass" or "drop".
func (o OnDown) String() string {
	if o == Drop {
		return "drop"
	}
	return "pass"
}

// Families is a set of IP versions; the zero value means both.
type Families uint8

// The members of Families.
const (
	IPv4 Families = 1 << iota
	IPv6
)

// PortRange is an inclusive range of TCP ports.
type PortRange struct {
	From uint16 `json:"from"`
	To   uint16 `json:"to"`
}

// Port is the range of one port.
func Port(p uint16) PortRange { return PortRange{p, p} }

// Sysctl is a kernel setting that the plan changes and Close restores.
type Sysctl struct {
	// Key has sysctl(8)'s form, e.g. "net.ipv4.conf.eth0.rp_filter"; only net.* is allowed.
	Key string `json:"key"`
	// Value is written as it is.
	Value string `json:"value"`
}

// Backend is what holds a plan's rules in the kernel.
type Backend uint8

// The backends.
const (
	// NFT is nftables, by netlink: no external program is run. The default.
	NFT Backend = iota
	// IPTables is the program iptables-restore that is installed, of either kind.
	IPTables
	// IPTablesNFT is the kind that keeps its rules in nftables.
	IPTablesNFT
	// IPTablesLegacy is the kind of old, with tables of its own in the kernel.
	IPTablesLegacy
)

// String is the word of the configuration: "nft", "iptables", "iptables-nft" or
// "iptables-legacy".
func (b Backend) String() string {
	switch b {
	case NFT:
		return "nft"
	case IPTables:
		return "iptables"
	case IPTablesNFT:
		return "iptables-nft"
	case IPTablesLegacy:
		return "iptables-legacy"
	}
	return fmt.Sprintf("Backend(%d)", uint8(b))
}

// Plan is an interception as data. The zero value of every field but ListenPort
// is usable. A Plan is not changed by this package.
type Plan struct {
	// Name tells plans apart: the table is "weir-" + Name. Default "main".
	Name string `json:"name"`
	// Backend holds the rules.
	Backend Backend `json:"backend,omitempty"`
	// ListenPort is the port of the transparent listener (IP_TRANSPARENT, bound to
	// the wildcard address of each family).
	ListenPort uint16 `json:"listen_port"`
	// Ports are the destination ports to take; empty means all.
	Ports []PortRange `json:"ports,omitempty"`
	// Interfaces are the ingress interfaces; empty means all but lo.
	Interfaces []string `json:"interfaces,omitempty"`

	// Redirect rewrites the destination to the listener's port (REDIRECT, by NAT)
	// instead of handing packets over as they are (TPROXY). The listener need not be
	// transparent, and asks for the original destination (the original_dst listener
	// filter). Every connection is tracked; servers see this machine's address; it
	// uses neither marks on packets nor policy routing.
	Redirect bool `json:"redirect,omitempty"`

	// Mark, under MarkMask, is set on intercepted packets to route them to lo.
	Mark uint32 `json:"mark"`
	// MarkMask covers the mark bits that are ours; the others are kept.
	MarkMask uint32 `json:"mark_mask"`
	// OwnMark, under MarkMask, is what our own sockets carry (SO_MARK): never intercepted.
	OwnMark uint32 `json:"own_mark"`
	// LocalMark, under MarkMask, is set on intercepted packets of local programs.
	LocalMark uint32 `json:"local_mark"`
	// Table is the route table that delivers marked packets locally.
	Table int `json:"table"`
	// Priority is the first of three consecutive ip-rule priorities.
	Priority int `json:"priority"`
	// Families are the IP versions to take; zero means both.
	Families Families `json:"families,omitempty"`

	// IncludeCIDRs, when not empty, are the only destinations taken.
	IncludeCIDRs []netip.Prefix `json:"include_cidrs,omitempty"`
	// ExcludeCIDRs are destinations left alone, beside those that always are:
	// loopback, link-local, multicast, broadcast and 0.0.0.0/8.
	ExcludeCIDRs []netip.Prefix `json:"exclude_cidrs,omitempty"`
	// ExcludePorts are destination ports left alone.
	ExcludePorts []PortRange `json:"exclude_ports,omitempty"`
	// ExcludeAddrPorts are destinations left alone: control plane, admin, own
	// listeners. An unspecified address means this machine's own addresses.
	ExcludeAddrPorts []netip.AddrPort `json:"exclude_addr_ports,omitempty"`
	// IncludeMarks, when not empty, are the only packet marks whose connections are
	// taken: of packets that enter, as earlier hooks or another program's rules have
	// marked them, and of local programs' sockets (SO_MARK).
	IncludeMarks []MarkMatch `json:"include_marks,omitempty"`
	// ExcludeMarks are packet marks whose connections are left alone.
	ExcludeMarks []MarkMatch `json:"exclude_marks,omitempty"`
	// IncludePrograms, when it names any, are the only programs of this machine whose
	// connections are taken. It needs Local.
	IncludePrograms Programs `json:"include_programs,omitzero"`
	// ExcludePrograms are programs of this machine whose connections are left alone.
	// It needs Local.
	ExcludePrograms Programs `json:"exclude_programs,omitzero"`
	// SSH takes port 22 too; without it that port is left alone.
	SSH bool `json:"ssh,omitempty"`
	// DNS takes TCP port 53 too; without it that port is left alone. UDP is never
	// taken.
	DNS bool `json:"dns,omitempty"`
	// IncludeLocal takes connections to this machine's own addresses too, but for
	// the listener's port.
	IncludeLocal bool `json:"include_local,omitempty"`

	// UDP443 says what becomes of QUIC to destinations whose TCP port 443 is taken.
	UDP443 UDP443 `json:"udp_443,omitempty"`

	// OnDown says what happens while nothing listens on ListenPort.
	OnDown OnDown `json:"on_down,omitempty"`
	// DropPorts are the destination ports that fail closed when OnDown is Pass: what
	// the plan takes of them gets no connection while nobody takes it. What fails
	// closed stays so until Remove, also when a resident process has ended, in whatever
	// way. Backend NFT only.
	DropPorts []PortRange `json:"drop_ports,omitempty"`
	// Local takes connections that programs of this machine open (OUTPUT). It uses
	// connection tracking, to leave alone what was open before.
	Local bool `json:"local,omitempty"`
	// Lease makes the rules take new connections only while the lease is renewed
	// (Handle.Hold, or a guard): LeaseTime after the last renewal they pass. It is
	// set where the kernel cannot tell by itself that nothing listens (Local, Redirect
	// and all backends but NFT), unless OnDown is Drop.
	Lease bool `json:"lease,omitempty"`
	// ReplySpoofed is needed when upstream connections carry the client's own
	// address (original_src): replies to them, on any interface, are ours.
	ReplySpoofed bool `json:"reply_spoofed,omitempty"`
	// Sysctls are changed by Apply and restored by Close. None is needed usually.
	Sysctls []Sysctl `json:"sysctls,omitempty"`
}

// WithDefaults returns the plan with its zero names, marks and numbers filled in.
func (p Plan) WithDefaults() Plan {
	set := func(v *uint32, d uint32) {
		if *v == 0 {
			*v = d
		}
	}
	if p.Name == "" {
		p.Name = DefaultName
	}
	set(&p.MarkMask, DefaultMarkMask)
	set(&p.Mark, DefaultMark)
	set(&p.OwnMark, DefaultOwnMark)
	set(&p.LocalMark, DefaultLocalMark)
	if p.Table == 0 {
		p.Table = DefaultTable
	}
	if p.Priority == 0 {
		p.Priority = DefaultPriority
	}
	if p.Families == 0 {
		p.Families = IPv4 | IPv6
	}
	if p.OnDown == Pass && (p.Local || p.Redirect || p.Backend != NFT) {
		p.Lease = true
	}
	return p
}

// TableName is the name of the plan's nftables table, of family inet.
func (p Plan) TableName() string { return tablePrefix + p.WithDefaults().Name }

// tablePrefix begins the names of all our tables.
const tablePrefix = "weir-"

// neverTaken are destinations that no plan takes.
func neverTaken() []netip.Prefix {
	return []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),          // RFC 1122 §3.2.1.3: this network
		netip.MustParsePrefix("127.0.0.0/8"),        // RFC 1122 §3.2.1.3: loopback
		netip.MustParsePrefix("169.254.0.0/16"),     // RFC 3927: link-local, cloud metadata
		netip.MustParsePrefix("224.0.0.0/4"),        // RFC 5771: multicast
		netip.MustParsePrefix("255.255.255.255/32"), // RFC 919: limited broadcast
		netip.MustParsePrefix("::/127"),             // RFC 4291 §2.5.2, §2.5.3: unspecified, loopback
		netip.MustParsePrefix("fe80::/10"),          // RFC 4291 §2.5.6: link-local
		netip.MustParsePrefix("ff00::/8"),           // RFC 4291 §2.7: multicast
	}
}
