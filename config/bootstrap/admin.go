package bootstrap

import (
	"io/fs"
	"net"
	"net/netip"
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Admin is where the admin interface listens.
type Admin struct {
	// Network and Address are what net.Listen takes: "tcp" and "127.0.0.1:9901", or "unix" and a path ("@name" is abstract).
	Network, Address string
	// Mode is the permission of the socket file; 0 leaves it to the umask.
	Mode fs.FileMode
	// Allowed tells whether a request target, its query included, is answered; nil answers all (allow_paths).
	Allowed func(target string) bool
}

func (d *decoder) admin() *Admin {
	a := d.adminAddress()
	if paths := d.m.GetAdmin().GetAllowPaths(); a != nil && len(paths) > 0 {
		a.Allowed = d.strings(paths, "admin.allow_paths")
	}
	return a
}

func (d *decoder) adminAddress() *Admin {
	a := d.m.GetAdmin()
	if a.GetAddress() == nil {
		return nil
	}
	const path = "admin.address"
	switch a := a.GetAddress().GetAddress().(type) {
	case *corev3.Address_Pipe:
		if a.Pipe.GetMode() > 0o777 {
			d.fail(path+".pipe.mode", "mode %#o has more than permission bits", a.Pipe.GetMode())
		}
		return &Admin{Network: "unix", Address: a.Pipe.GetPath(), Mode: fs.FileMode(a.Pipe.GetMode())}
	case *corev3.Address_SocketAddress:
		s := a.SocketAddress
		if _, err := netip.ParseAddr(s.GetAddress()); err != nil {
			d.fail(path+".socket_address.address", "%q is not an IP address", s.GetAddress())
		}
		if s.GetNetworkNamespaceFilepath() != "" {
			d.fail(path+".socket_address.network_namespace_filepath", "goes with a listener's address only")
		}
		return &Admin{Network: "tcp", Address: net.JoinHostPort(s.GetAddress(), strconv.Itoa(int(s.GetPortValue())))}
	}
	return nil
}
