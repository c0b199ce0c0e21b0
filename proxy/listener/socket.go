package listener

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	config "github.com/weirproxy/weir/config/listener"
	"github.com/weirproxy/weir/proxy/netio"
)

// A socket is one listening socket; one goroutine accepts from it.
type socket struct {
	// set in bind, never changed
	shard    *shard
	addr     netip.AddrPort   // as bound; invalid of a unix socket
	wildcard bool             // addr is the unspecified address: connections have addresses of their own
	ns       *netio.Namespace // where it is; nil: here
	upstream *netio.Namespace // where connections to upstream hosts are made; nil: here
	path     string           // of a unix socket in the file system
	file     unix.Stat_t      // what was at path when it was bound

	done chan struct{} // closed when nobody accepts from it any more
	in   *netio.Listener
	once sync.Once

	name    string        // of the listener, set in bind
	pausing atomic.Bool   // its goroutine waits after an error of accept(2)
	paused  atomic.Uint64 // answers given meanwhile
}

// defaultBacklog is what is asked for when tcp_backlog_size is not set; the
// system takes the lesser of it and net.core.somaxconn.
const defaultBacklog = 65535

// bind opens the sockets of all addresses. What it opened before an error is left
// in l.sockets.
func (l *Listener) bind(m *config.Listener) error {
	if !m.BindToPort || l.o.Away && Intercepts(m) {
		return nil
	}
	for _, a := range m.Addresses {
		var ns *netio.Namespace
		if a.NetNS != "" {
			var err error
			if ns, err = netio.OpenNamespace(a.NetNS); err != nil {
				return fmt.Errorf("listen on %s: %w", a, err)
			}
			l.opened = append(l.opened, ns)
		}
		n := l.o.Workers
		if !m.ReusePort || a.Pipe != "" {
			n = 1
		}
		for i := range n {
			s, err := open(a, ns, m, l.o.Loops, i)
			if err != nil {
				return fmt.Errorf("listen on %s: %w", a, err)
			}
			s.shard, s.name = &l.shards[i], m.Name
			l.sockets = append(l.sockets, s)
			if a.Pipe == "" {
				a.Addr = s.addr // the port that was chosen for the first
			}
		}
	}
	return nil
}

// open makes one listening socket, whose connections are waited for on a loop.
func open(a config.Address, ns *netio.Namespace, m *config.Listener, loops *netio.Loops, loop int) (*socket, error) {
	family, sa := sockaddr(a)
	fd, err := ns.Socket(family, unix.SOCK_STREAM)
	if err != nil {
		return nil, err
	}
	s := &socket{ns: ns, done: make(chan struct{})}
	if err := s.prepare(fd, family, sa, a, m); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if s.in, err = loops.NewListener(fd, loop); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *socket) prepare(fd, family int, sa unix.Sockaddr, a config.Address, m *config.Listener) error {
	if a.Pipe != "" {
		return s.prepareUnix(fd, sa, a.Pipe, backlog(m))
	}
	for _, o := range options(family, a, m) {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			err = os.NewSyscallError("setsockopt "+o.text, err)
			if errors.Is(err, unix.EPERM) {
				err = fmt.Errorf("%w (is CAP_NET_ADMIN missing?)", err)
			}
			return err
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, backlog(m)); err != nil {
		return os.NewSyscallError("listen", err)
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	s.addr = addrPort(bound)
	s.wildcard = s.addr.Addr().IsUnspecified()
	return nil
}

type option struct {
	text               string
	level, name, value int
}

// options are the socket options of a TCP listener, in the order they are set.
// Connections inherit them.
func options(family int, a config.Address, m *config.Listener) []option {
	out := []option{
		{"SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1},
		// Messages are written whole, so Nagle's algorithm can only delay them; set
		// here it costs no system call per connection.
		{"TCP_NODELAY", unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
	}
	if m.ReusePort {
		out = append(out, option{"SO_REUSEPORT", unix.SOL_SOCKET, unix.SO_REUSEPORT, 1})
	}
	v4, v6 := family == unix.AF_INET, family == unix.AF_INET6
	if v6 {
		only := 1
		if a.V6Dual {
			only, v4 = 0, true
		}
		out = append(out, option{"IPV6_V6ONLY", unix.SOL_IPV6, unix.IPV6_V6ONLY, only})
	}
	for _, o := range []struct {
		want   bool
		text   string
		v4, v6 int
	}{
		{m.Transparent, "TRANSPARENT", unix.IP_TRANSPARENT, unix.IPV6_TRANSPARENT},
		{m.Freebind, "FREEBIND", unix.IP_FREEBIND, unix.IPV6_FREEBIND},
	} {
		if o.want && v6 {
			out = append(out, option{"IPV6_" + o.text, unix.SOL_IPV6, o.v6, 1})
		}
		if o.want && v4 {
			out = append(out, option{"IP_" + o.text, unix.SOL_IP, o.v4, 1})
		}
	}
	return out
}

func backlog(m *config.Listener) int {
	if m.Backlog > 0 {
		return m.Backlog
	}
	return defaultBacklog
}

// prepareUnix binds a unix socket, over what an earlier process left at its path
// (Envoy does the same); a path that begins with @ is in the abstract namespace.
func (s *socket) prepareUnix(fd int, sa unix.Sockaddr, path string, backlog int) error {
	named := !strings.HasPrefix(path, "@")
	if named {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
			if err := unix.Unlink(path); err != nil {
				return os.NewSyscallError("unlink", err)
			}
		}
	}
	if err := unix.Bind(fd, sa); err != nil {
		return os.NewSyscallError("bind", err)
	}
	if named && unix.Lstat(path, &s.file) == nil {
		s.path = path
	}
	return os.NewSyscallError("listen", unix.Listen(fd, backlog))
}

// wake ends a wait for connections.
func (s *socket) wake() { s.in.Wake() }

// close closes the socket; a unix socket's path goes, if it is still this socket's.
func (s *socket) close() {
	s.once.Do(func() {
		if s.path != "" {
			var st unix.Stat_t
			if unix.Lstat(s.path, &st) == nil && st.Dev == s.file.Dev && st.Ino == s.file.Ino {
				_ = unix.Unlink(s.path)
			}
		}
		_ = s.in.Close()
	})
}

func sockaddr(a config.Address) (family int, sa unix.Sockaddr) {
	if a.Pipe != "" {
		return unix.AF_UNIX, &unix.SockaddrUnix{Name: a.Pipe}
	}
	ip, port := a.Addr.Addr(), int(a.Addr.Port())
	if ip.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: port, Addr: ip.As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: ip.As16()}
}

// addrPort converts a socket address; an IPv4-mapped one becomes IPv4, and a unix
// one the invalid AddrPort.
func addrPort(sa unix.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *unix.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
