package intercept

import (
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What golang.org/x/sys lacks of linux/inet_diag.h and net/tcp_states.h.
const (
	sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	tcpListen        = 10 // TCP_LISTEN
	diagV6Only       = 11 // INET_DIAG_SKV6ONLY
	diagMessageLen   = 72 // struct inet_diag_msg
	diagAddrOffset   = 8  // idiag_src within it
	diagQueueOffset  = 56 // idiag_rqueue: what waits to be accepted
	diagInodeOffset  = 68 // idiag_inode
)

// listening tells by which IP versions TCP connections to a port of the calling
// thread's network namespace are accepted.
func listening(port uint16) (f Families, err error) {
	ls, err := listeners(port)
	for _, l := range ls {
		f |= l.families
	}
	return f, err
}

// listeners are the sockets that listen on a port. Those on loopback addresses
// count; one on the IPv6 wildcard address takes IPv4 too, unless it says otherwise.
func listeners(port uint16) (out []listener, err error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("open socket diagnosis: %w", err)
	}
	defer c.Close()
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		msgs, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
			Data:   diagRequest(family, port),
		})
		if err != nil {
			return nil, fmt.Errorf("list listening sockets: %w", err)
		}
		for _, m := range msgs {
			if l, ok := parseListener(m.Data); ok {
				out = append(out, l)
			}
		}
	}
	return out, nil
}

// diagRequest asks for the listeners of a port: struct inet_diag_req_v2.
func diagRequest(family byte, port uint16) []byte {
	b := []byte{family, unix.IPPROTO_TCP, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, 1<<tcpListen)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, make([]byte, 56-len(b))...)
}

// parseListener reads one answer: struct inet_diag_msg and attributes.
func parseListener(b []byte) (l listener, ok bool) {
	if len(b) < diagMessageLen {
		return l, false
	}
	l.waiting = binary.NativeEndian.Uint32(b[diagQueueOffset:])
	l.inode = binary.NativeEndian.Uint32(b[diagInodeOffset:])
	if b[0] == unix.AF_INET {
		l.families = IPv4
		return l, true
	}
	l.families = IPv6
	ad, err := netlink.NewAttributeDecoder(b[diagMessageLen:])
	if err != nil {
		return l, true
	}
	only := false
	for ad.Next() {
		if ad.Type() == diagV6Only {
			only = ad.Uint8() != 0
		}
	}
	if addr := [16]byte(b[diagAddrOffset:]); !only && addr == [16]byte{} {
		l.families |= IPv4
	}
	return l, true
}
