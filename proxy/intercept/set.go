package intercept

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/google/nftables"
)

// setKind says what the elements of a set are.
type setKind uint8

const (
	kindIP4 setKind = iota
	kindIP6
	kindPort
	kindEndpoint4 // IPv4 address and port
	kindEndpoint6
	kindFamily
)

// typ is nft's name of the kind.
func (k setKind) typ() string {
	return [...]string{"ipv4_addr", "ipv6_addr", "inet_service", "ipv4_addr . inet_service", "ipv6_addr . inet_service", "nf_proto"}[k]
}

// fields are the data types that an element is made of.
func (k setKind) fields() []nftables.SetDatatype {
	ip4, ip6, port := nftables.TypeIPAddr, nftables.TypeIP6Addr, nftables.TypeInetService
	return [...][]nftables.SetDatatype{{ip4}, {ip6}, {port}, {ip4, port}, {ip6, port}, {nftables.TypeNFProto}}[k]
}

// keyLen is the size of a key; each field of a concatenation fills whole words.
func (k setKind) keyLen() uint32 {
	f := k.fields()
	if len(f) == 1 {
		return f[0].Bytes
	}
	var n uint32
	for _, d := range f {
		n += (d.Bytes + 3) &^ 3
	}
	return n
}

// interval reports whether the elements are ranges.
func (k setKind) interval() bool { return k <= kindPort }

// dynamic reports whether elements come and go by themselves.
func (k setKind) dynamic() bool { return k == kindFamily }

// flags is what nft says of the kind.
func (k setKind) flags() string {
	switch {
	case k.dynamic():
		return "timeout"
	case k.interval():
		return "constant,interval"
	}
	return "constant"
}

// set is a named set that, but for the lease, cannot change once made.
type set struct {
	name  string
	id    uint32 // within the transaction
	kind  setKind
	elems []elem
	texts []string // the elements as nft prints them
}

// elem is a key of a set; an interval is two: where it starts, and the first key
// after it, marked end.
type elem struct {
	key []byte
	end bool
}

// newSet registers a set, or returns nil when it would be empty.
func (pr *program) newSet(name string, kind setKind, elems []elem, texts []string) *set {
	if len(elems) == 0 {
		return nil
	}
	s := &set{name: name, id: uint32(len(pr.sets) + 1), kind: kind, elems: elems, texts: texts}
	pr.sets = append(pr.sets, s)
	return s
}

func (pr *program) cidrSet(name string, prefixes []netip.Prefix, v6 bool) *set {
	kind := kindIP4
	if v6 {
		kind = kindIP6
	}
	var elems []elem
	var texts []string
	for _, r := range mergeCIDRs(prefixes, v6) {
		elems = append(elems, elem{key: r.from.AsSlice()})
		if next := r.to.Next(); next.IsValid() { // else it ends with the address space
			elems = append(elems, elem{key: next.AsSlice(), end: true})
		}
		texts = append(texts, r.String())
	}
	return pr.newSet(name, kind, elems, texts)
}

func (pr *program) portSet(name string, ranges []PortRange) *set {
	var elems []elem
	var texts []string
	for _, r := range mergePorts(ranges) {
		elems = append(elems, elem{key: binary.BigEndian.AppendUint16(nil, r.From)})
		if r.To < 65535 {
			elems = append(elems, elem{key: binary.BigEndian.AppendUint16(nil, r.To+1), end: true})
		}
		texts = append(texts, r.String())
	}
	return pr.newSet(name, kindPort, elems, texts)
}

func (pr *program) endpointSet(name string, pairs []netip.AddrPort) *set {
	kind := kindEndpoint4
	var elems []elem
	var texts []string
	for _, a := range pairs {
		if a.Addr().Is6() {
			kind = kindEndpoint6
		}
		key := binary.BigEndian.AppendUint16(a.Addr().AsSlice(), a.Port())
		elems = append(elems, elem{key: append(key, 0, 0)})
		texts = append(texts, fmt.Sprintf("%s . %d", a.Addr(), a.Port()))
	}
	return pr.newSet(name, kind, elems, texts)
}
