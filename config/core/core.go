// Package core reads the messages of envoy.config.core.v3 that several resources have in common: socket addresses and transport
// sockets.
package core

import (
	"errors"
	"net/netip"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"google.golang.org/protobuf/types/known/anypb"
)

// An Address is an IP address with a port, a name with a port, or the path of a unix socket.
type Address struct {
	Addr netip.AddrPort // invalid when Name or Pipe is set
	Name string         // what was written instead of an IP address
	Port uint16         // of Name
	Pipe string
	// NetNS is the network namespace in which the socket is, by its path; "" is ours.
	// Only DecodeListenerAddress lets it be set.
	NetNS string
}

// DecodeAddress reads an Address. It records what is wrong and says whether nothing was. A name instead of an IP address is left
// to the caller to judge.
func DecodeAddress(l *fielderr.List, path string, a *corev3.Address) (Address, bool) {
	before := l.Len()
	if a.GetSocketAddress().GetNetworkNamespaceFilepath() != "" {
		l.Addf(path+".socket_address.network_namespace_filepath", "goes with a listener's address only")
	}
	d, _ := DecodeListenerAddress(l, path, a)
	return d, l.Len() == before
}

// DecodeListenerAddress is DecodeAddress for addresses that are listened on.
func DecodeListenerAddress(l *fielderr.List, path string, a *corev3.Address) (Address, bool) {
	before := l.Len()
	var d Address
	switch a := a.GetAddress().(type) {
	case *corev3.Address_SocketAddress:
		d = decodeSocket(l, path, a.SocketAddress)
	case *corev3.Address_Pipe:
		if d.Pipe = a.Pipe.GetPath(); d.Pipe == "" {
			l.Addf(path+".pipe.path", "empty")
		}
	case *corev3.Address_EnvoyInternalAddress:
		l.Addf(path+".envoy_internal_address", "internal listeners are not supported")
	default:
		l.Addf(path, "unset: socket_address or pipe is needed")
	}
	return d, l.Len() == before
}

func decodeSocket(l *fielderr.List, path string, a *corev3.SocketAddress) Address {
	if a.GetProtocol() != corev3.SocketAddress_TCP {
		l.Addf(path+".socket_address.protocol", "%s is not supported, TCP is", a.GetProtocol())
	}
	if a.GetResolverName() != "" {
		l.Addf(path+".socket_address.resolver_name", "not supported")
	}
	port := uint32(0)
	switch p := a.GetPortSpecifier().(type) {
	case *corev3.SocketAddress_PortValue:
		if port = p.PortValue; port > 65535 {
			l.Addf(path+".socket_address.port_value", "%d is not a port", port)
		}
	case *corev3.SocketAddress_NamedPort:
		l.Addf(path+".socket_address.named_port", "not supported, port_value is")
	default:
		l.Addf(path+".socket_address.port_value", "unset")
	}
	ip, err := netip.ParseAddr(a.GetAddress())
	switch {
	case a.GetAddress() == "":
		l.Addf(path+".socket_address.address", "empty")
	case err != nil:
		return Address{Name: a.GetAddress(), Port: uint16(port), NetNS: a.GetNetworkNamespaceFilepath()}
	case a.GetIpv4Compat() && !ip.Is6():
		l.Addf(path+".socket_address.ipv4_compat", "%s is not an IPv6 address", ip)
	}
	return Address{Addr: netip.AddrPortFrom(ip, uint16(port)), NetNS: a.GetNetworkNamespaceFilepath()}
}

// rawBufferURL is the transport socket that is none.
const rawBufferURL = "type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer"

// DecodeTransportSocket parses a transport socket of a kind, downstream or upstream; nil is raw_buffer, the default.
func DecodeTransportSocket(l *fielderr.List, path string, k extension.Kind, p *corev3.TransportSocket, ctx *extension.Context) *extension.Parsed {
	if p == nil || p.GetTypedConfig().GetTypeUrl() == rawBufferURL ||
		p.GetTypedConfig() == nil && p.GetName() == "envoy.transport_sockets.raw_buffer" {
		return nil
	}
	if d, ok := Parse(l, path, k, p.GetName(), p.GetTypedConfig(), ctx); ok {
		return &d
	}
	return nil
}

// Parse parses the extension that a message at path configures in its field typed_config. It records what is wrong and says whether
// there is an extension: nothing was wrong, and it is not left out.
func Parse(l *fielderr.List, path string, k extension.Kind, name string, cfg *anypb.Any, ctx *extension.Context) (extension.Parsed, bool) {
	d, err := ctx.Parse(k, name, cfg)
	if err == nil {
		return d, true
	}
	if errors.Is(err, extension.ErrLeftOut) && mayLack(k) {
		return extension.Parsed{}, false
	}
	if _, known := ctx.Registry.ByType(k, cfg.GetTypeUrl()); !known {
		path = fielderr.Join(path, "typed_config") // it is the type that is wrong
	}
	l.Add(path, err)
	return extension.Parsed{}, false
}

// mayLack tells the kinds of which there may be one less than are configured: the rest does its work all the same.
func mayLack(k extension.Kind) bool {
	switch k {
	case extension.ListenerFilter, extension.NetworkFilter, extension.HTTPFilter, extension.AccessLogger:
		return true
	}
	return false
}
