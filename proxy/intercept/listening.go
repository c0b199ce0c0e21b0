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
)

// listening tells by which IP versions TCP connections to a port of the calling
// thread's network namespace are accepted. Listeners on loopback addresses count;
// one on the IPv6 wildcard address takes IPv4 too, unless it says otherwise.
func listening(port uint16) (f Families, err error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return 0, fmt.Errorf("open socket diagnosis: %w", err)
	}
	defer c.Close()
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		msgs, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: sockDiagByFamily, Flags: netlink.Request | netlink.Dump},
			Data:   diagRequest(family, port),
		})
		if err != nil {
			return 0, fmt.Errorf("list listening sockets: %w", err)
		}
		for _, m := range msgs {
			f |= listens(m.Data)
		}
	}
	return f, nil
}

// diagRequest asks for the listeners of a port: struct inet_diag_req_v2.
func diagRequest(family byte, port uint16) []byte {
	b := []byte{family, unix.IPPROTO_TCP, 0, 0}
	b = binary.NativeEndian.AppendUint32(b, 1<<tcpListen)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, make([]byte, 56-len(b))...)
}

// listens reads one answer.
func listens(b []byte) Families {
	if len(b) < diagMessageLen {
		return 0
	}
	if b[0] == unix.AF_INET {
		return IPv4
	}
	ad, err := netlink.NewAttributeDecoder(b[diagMessageLen:])
	if err != nil {
		return IPv6
	}
	only := false
	for ad.Next() {
		if ad.Type() == diagV6Only {
			only = ad.Uint8() != 0
		}
	}
	addr := [16]byte(b[diagAddrOffset:])
	if only || addr != [16]byte{} {
		return IPv6
	}
	return IPv4 | IPv6
}
