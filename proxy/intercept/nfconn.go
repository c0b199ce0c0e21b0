package intercept

import (
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// defaultSendBuffer is what every socket can send at once, well below net.core.wmem_default.
const defaultSendBuffer = 64 << 10

// nfConn is a netlink socket of the netfilter family, in the namespace of the
// thread that opened it. An owner table lives as long as its nfConn.
type nfConn struct{ nl *netlink.Conn }

func dialNF() (*nfConn, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open netfilter netlink socket: %w", err)
	}
	_ = c.SetOption(netlink.ExtendedAcknowledge, true) // better error texts, where the kernel has them
	return &nfConn{c}, nil
}

// commit sends the messages as one transaction: all or nothing.
func (c *nfConn) commit(msgs []netlink.Message) error {
	if len(msgs) == 0 {
		return nil
	}
	mark := func(typ netlink.HeaderType) netlink.Message {
		return netlink.Message{
			Header: netlink.Header{Type: typ, Flags: netlink.Request},
			Data:   []byte{unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, unix.NFNL_SUBSYS_NFTABLES},
		}
	}
	batch := append([]netlink.Message{mark(unix.NFNL_MSG_BATCH_BEGIN)}, msgs...)
	batch = append(batch, mark(unix.NFNL_MSG_BATCH_END))
	// One acknowledgement is enough: a failing message reports itself anyway, and
	// hundreds of them would overflow the socket's buffer.
	last := &batch[len(batch)-2]
	last.Header.Flags |= netlink.Acknowledge
	size := 0
	for _, m := range batch {
		size += len(m.Data) + 2*unix.NLMSG_HDRLEN
	}
	if size > defaultSendBuffer {
		_ = c.nl.SetWriteBuffer(2 * size) // if it cannot be, the kernel says EMSGSIZE below
	}

	sent, err := c.nl.SendMessages(batch)
	if err != nil {
		return hint(err)
	}
	want := sent[len(sent)-2].Header.Sequence
	for {
		replies, err := c.nl.Receive()
		if err != nil {
			c.drain()
			return hint(err)
		}
		for _, m := range replies {
			if m.Header.Type == netlink.Error && m.Header.Sequence == want {
				return nil
			}
		}
	}
}

// drain throws away what the kernel has already answered. It answers within the
// send call, so that after a failure the socket can be used again.
func (c *nfConn) drain() {
	raw, err := c.nl.SyscallConn()
	if err != nil {
		return
	}
	buf := make([]byte, 64<<10)
	_ = raw.Control(func(fd uintptr) {
		for {
			if _, _, err := unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT); err != nil && !errors.Is(err, unix.ENOBUFS) {
				return
			}
		}
	})
}

func (c *nfConn) close() error { return c.nl.Close() }

// hint adds the likely cause to the errors that have one.
func hint(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w (is CAP_NET_ADMIN missing?)", err)
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("%w (the plan's lists are too long for the socket: shorten them, or raise net.core.wmem_max)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w (does the kernel lack nft_tproxy, nft_socket, nft_fib_inet or, for local, nft_ct?)", err)
	}
	return err
}
