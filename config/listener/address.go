package listener

import (
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/fielderr"
)

// String gives the address as Envoy prints it: 127.0.0.1:80, [::1]:80, or the path.
func (a Address) String() string {
	if a.Pipe != "" {
		return a.Pipe
	}
	return a.Addr.String()
}

// decodeAddresses reads address and additional_addresses.
func decodeAddresses(l *fielderr.List, p *listenerv3.Listener) []Address {
	var out []Address
	got := map[Address]bool{}
	add := func(path string, a *corev3.Address) {
		if a == nil {
			l.Addf(path, "unset")
			return
		}
		d, ok := decodeAddress(l, path, a)
		if !ok {
			return
		}
		if got[d] && (d.Pipe != "" || d.Addr.Port() != 0) {
			l.Addf(path, "%s is there already", d)
			return
		}
		got[d] = true
		out = append(out, d)
	}
	add("address", p.GetAddress())
	for i, a := range p.GetAdditionalAddresses() {
		add(fielderr.Index("additional_addresses", i)+".address", a.GetAddress())
	}
	return out
}

func decodeAddress(l *fielderr.List, path string, a *corev3.Address) (Address, bool) {
	before := l.Len()
	switch a := a.GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		return decodeSocketAddress(l, path+".socket_address", a.SocketAddress), l.Len() == before
	case *corev3.Address_Pipe:
		if a.Pipe.GetPath() == "" {
			l.Addf(path+".pipe.path", "empty")
		}
		return Address{Pipe: a.Pipe.GetPath()}, l.Len() == before
	case *corev3.Address_EnvoyInternalAddress:
		l.Addf(path+".envoy_internal_address", "internal listeners are not supported")
	default:
		l.Addf(path, "no address in it: socket_address or pipe is needed")
	}
	return Address{}, false
}

func decodeSocketAddress(l *fielderr.List, path string, a *corev3.SocketAddress) Address {
	if a.GetProtocol() != corev3.SocketAddress_TCP {
		l.Addf(path+".protocol", "%s is not supported, TCP is", a.GetProtocol())
	}
	ip, err := netip.ParseAddr(a.GetAddress())
	switch {
	case err != nil:
		l.Addf(path+".address", "%q is not an IP address", a.GetAddress())
	case a.GetIpv4Compat() && !ip.Is6():
		l.Addf(path+".ipv4_compat", "%s is not an IPv6 address", ip)
	}
	port := uint32(0)
	switch p := a.GetPortSpecifier().(type) {
	case *corev3.SocketAddress_PortValue:
		if port = p.PortValue; port > 65535 {
			l.Addf(path+".port_value", "%d is not a port", port)
		}
	case *corev3.SocketAddress_NamedPort:
		l.Addf(path+".named_port", "not supported, port_value is")
	default:
		l.Addf(path+".port_value", "unset")
	}
	return Address{
		Addr:   netip.AddrPortFrom(ip, uint16(port)),
		V6Dual: a.GetIpv4Compat(),
	}
}
