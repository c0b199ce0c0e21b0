package netio

import "golang.org/x/sys/unix"

// Transferred asks the kernel how many bytes came from the peer and how many it has acknowledged; ok is false for sockets that are not
// TCP, or closed. It costs a system call, and nothing to who reads and writes.
func (s *Socket) Transferred() (received, sent uint64, ok bool) {
	_ = s.d.Control(func(fd uintptr) {
		if t, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			received, sent, ok = t.Bytes_received, t.Bytes_acked, true
		}
	})
	if sent > 0 {
		sent-- // the SYN counts as one (RFC 4898: tcpEStatsAppHCThruOctetsAcked)
	}
	return received, sent, ok
}
