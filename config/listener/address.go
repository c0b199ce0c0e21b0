package listener

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/core"
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
	d, ok := core.DecodeListenerAddress(l, path, a)
	if d.Name != "" {
		l.Addf(path+".socket_address.address", "%q is not an IP address", d.Name)
		ok = false
	}
	return Address{Addr: d.Addr, Pipe: d.Pipe, V6Dual: a.GetSocketAddress().GetIpv4Compat(), NetNS: d.NetNS}, ok
}
