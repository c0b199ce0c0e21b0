package main

import (
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/xds"
)

// A copied counter shows what is counted elsewhere. It grows by what is new there,
// so that after a reset (POST /reset_counters) it begins at zero, as any other.
type copied struct {
	to  *stats.Counter
	was uint64 // counted there when it was last looked at
}

// set takes over what has been counted; less than before was counted anew.
func (c *copied) set(now uint64) {
	if now < c.was {
		c.was = 0
	}
	c.to.Add(now - c.was)
	c.was = now
}

// copiedUpdates are those of xds.Counters.
type copiedUpdates struct{ attempt, success, rejected, failure, timeout copied }

func newCopiedUpdates(attempt, success, rejected, failure, timeout *stats.Counter) *copiedUpdates {
	return &copiedUpdates{
		attempt: copied{to: attempt}, success: copied{to: success}, rejected: copied{to: rejected},
		failure: copied{to: failure}, timeout: copied{to: timeout},
	}
}

func (c *copiedUpdates) set(now xds.Counters) {
	c.attempt.set(now.Attempt)
	c.success.set(now.Success)
	c.rejected.set(now.Rejected)
	c.failure.set(now.Failure)
	c.timeout.set(now.FetchTimeout)
}
