package survey

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// The states of a TCP socket that are looked at (linux/tcp_states.h).
const (
	Established = 1
	SynSent     = 2
	TimeWait    = 6
	CloseWait   = 8
	Listen      = 10
)

// A Socket is one TCP socket, as inet_diag(7) shows it.
type Socket struct {
	Local, Remote netip.AddrPort
	V6            bool // of family IPv6; Local may be an IPv4 address all the same
	V6Only        bool // a listener that takes no IPv4
	State         uint8
	UID, Inode    uint32
	Mark          uint32 // SO_MARK; 0 too when this process may not know it
	Transparent   bool   // IP_TRANSPARENT

	// Of a listener: connections that wait to be accepted, and how many may.
	Waiting, Backlog uint32
	// Of a connection: unanswered repetitions of its oldest segment in a row, bytes
	// a segment holds, segments without an answer.
	Retransmits     uint8
	MSS, Unanswered uint32
	// PMTU is the path's largest packet, as far as the kernel knows.
	PMTU uint32
}

// Attributes and sizes of inet_diag (linux/inet_diag.h).
const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	diagMsgLen   = 72 // struct inet_diag_msg
	diagReqLen   = 56 // struct inet_diag_req_v2
	diagInfo     = 2  // INET_DIAG_INFO
	diagV6Only   = 11 // INET_DIAG_SKV6ONLY
	diagMark     = 15 // INET_DIAG_MARK
	diagSockopt  = 22 // INET_DIAG_SOCKOPT, Linux 5.9
)

// Sockets lists the TCP sockets of the namespace.
func Sockets() ([]Socket, error) {
	c, err := netlink.Dial(unix.NETLINK_SOCK_DIAG, nil)
	if err != nil {
		return nil, fmt.Errorf("open sock_diag netlink socket: %w", err)
	}
	defer func() { _ = c.Close() }()
	var out []Socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		b := make([]byte, diagReqLen)
		b[0], b[1], b[2] = family, unix.IPPROTO_TCP, 1<<(diagInfo-1)
		binary.NativeEndian.PutUint32(b[4:], 0xffffffff) // every state
		msgs, err := c.Execute(netlink.Message{
			Header: netlink.Header{Type: diagByFamily, Flags: netlink.Request | netlink.Dump}, Data: b,
		})
		if err != nil {
			return nil, fmt.Errorf("list TCP sockets: %w", err)
		}
		for _, m := range msgs {
			if s, ok := decodeSocket(m.Data); ok {
				out = append(out, s)
			}
		}
	}
	return out, nil
}

// decodeSocket reads a struct inet_diag_msg and its attributes; false is one that
// is too short.
func decodeSocket(b []byte) (s Socket, ok bool) {
	if len(b) < diagMsgLen {
		return s, false
	}
	s.V6, s.State = b[0] == unix.AF_INET6, b[1]
	addr := func(b []byte) netip.Addr {
		if s.V6 {
			return netip.AddrFrom16([16]byte(b)).Unmap()
		}
		return netip.AddrFrom4([4]byte(b))
	}
	s.Local = netip.AddrPortFrom(addr(b[8:24]), binary.BigEndian.Uint16(b[4:]))
	s.Remote = netip.AddrPortFrom(addr(b[24:40]), binary.BigEndian.Uint16(b[6:]))
	s.UID, s.Inode = binary.NativeEndian.Uint32(b[64:]), binary.NativeEndian.Uint32(b[68:])
	if s.State == Listen {
		s.Waiting, s.Backlog = binary.NativeEndian.Uint32(b[56:]), binary.NativeEndian.Uint32(b[60:])
	}
	attrs, err := netlink.UnmarshalAttributes(b[diagMsgLen:])
	if err != nil {
		return s, true // what is before them is good
	}
	for _, a := range attrs {
		switch {
		case a.Type == diagInfo:
			s.info(a.Data)
		case a.Type == diagV6Only && len(a.Data) >= 1:
			s.V6Only = a.Data[0] != 0
		case a.Type == diagMark && len(a.Data) >= 4:
			s.Mark = binary.NativeEndian.Uint32(a.Data)
		case a.Type == diagSockopt && len(a.Data) >= 1:
			s.Transparent = a.Data[0]&(1<<5) != 0
		}
	}
	return s, true
}

// info reads the part of struct tcp_info that is of use.
func (s *Socket) info(b []byte) {
	if len(b) < 64 || s.State == Listen {
		return
	}
	s.Retransmits = b[2]
	s.MSS, s.Unanswered = binary.NativeEndian.Uint32(b[16:]), binary.NativeEndian.Uint32(b[24:])
	s.PMTU = binary.NativeEndian.Uint32(b[60:])
}

// Takes tells whether the socket is a listener that takes connections of the
// family to any address at its port, as `tproxy` needs it.
func (s *Socket) Takes(v6 bool) bool {
	if s.State != Listen || !s.Local.Addr().IsUnspecified() {
		return false
	}
	if v6 {
		return s.V6
	}
	return !s.V6 || !s.V6Only
}

// MarkControl is the Control of a dialer whose connections carry a packet mark,
// where this process may set one; 0 sets none.
func MarkControl(mark uint32) func(network, address string, c syscall.RawConn) error {
	if mark == 0 {
		return nil
	}
	return func(network, _ string, c syscall.RawConn) error {
		if !strings.HasPrefix(network, "tcp") && !strings.HasPrefix(network, "udp") {
			return nil
		}
		return c.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)) })
	}
}
