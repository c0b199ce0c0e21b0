package intercept

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// What is listened to: each group is a bit, its number less one.
const (
	routeEvents = 1<<(unix.RTNLGRP_IPV4_ROUTE-1) | 1<<(unix.RTNLGRP_IPV6_ROUTE-1) |
		1<<(unix.RTNLGRP_IPV4_RULE-1) | 1<<(unix.RTNLGRP_IPV6_RULE-1) |
		1<<(unix.RTNLGRP_IPV4_NETCONF-1) | 1<<(unix.RTNLGRP_IPV6_NETCONF-1) // forwarding, rp_filter and others
	tableEvents = 1 << (unix.NFNLGRP_NFTABLES - 1)
)

// events pokes a channel whenever somebody changes routes, policy rules, settings of
// interfaces or nftables rules, until ctx ends. It listens in the network namespace
// of the calling thread.
func events(ctx context.Context, wg *sync.WaitGroup, poke func()) error {
	for _, s := range []struct {
		family  int
		groups  uint32
		matters func(netlink.Message) bool
	}{
		{unix.NETLINK_ROUTE, routeEvents, func(netlink.Message) bool { return true }},
		{unix.NETLINK_NETFILTER, tableEvents, isRuleEvent},
	} {
		c, err := netlink.Dial(s.family, &netlink.Config{Groups: s.groups})
		if err != nil {
			return fmt.Errorf("listen to changes: %w", hint(err))
		}
		stop := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) })
		wg.Go(func() {
			defer c.Close()
			defer stop()
			for {
				msgs, err := c.Receive()
				switch {
				case ctx.Err() != nil:
					return
				case errors.Is(err, unix.ENOBUFS): // there were more than fit
					poke()
				case err != nil && (errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADF)):
					return
				}
				for _, m := range msgs {
					if s.matters(m) {
						poke()
						break
					}
				}
			}
		})
	}
	return nil
}

// isRuleEvent leaves out elements of sets, such as the lease that is renewed all the
// time, and the end of a transaction.
func isRuleEvent(m netlink.Message) bool {
	switch int(m.Header.Type) & 0xff {
	case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM, unix.NFT_MSG_NEWGEN:
		return false
	}
	return true
}
