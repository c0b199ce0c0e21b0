package upstream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/netio"
)

// Dial opens a connection for whoever brings a codec of his own, as the client of
// a control plane does: through the cluster's transport socket, which offers alpn
// when it names no protocols itself. Hosts are tried until one takes the
// connection: healthy ones first, better priorities first, those of one priority
// in turn. A cluster that waits for its first DNS answer is waited for until ctx
// ends.
func (c *Cluster) Dial(ctx context.Context, alpn []string) (net.Conn, error) {
	for c.resolving() && len(c.set.Load().hosts) == 0 {
		next := c.m.lookups.next()
		if !c.resolving() {
			break
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, fmt.Errorf("cluster %q: %w: no DNS answer yet", c.name, context.Cause(ctx))
		}
	}
	hosts := c.set.Load().hosts
	if len(hosts) == 0 {
		return nil, fmt.Errorf("cluster %q has no host", c.name)
	}
	o := &OpenInfo{ALPN: alpn, Abortable: true}
	o.Deadline, _ = ctx.Deadline()
	var errs []string
	for _, i := range dialOrder(ranks(hosts), c.turn.Add(1)-1) {
		t, err := c.OpenTCP(ctx, hosts[i], o)
		if err == nil {
			return netio.NetConn(t, new(buffer.Buf)), nil
		}
		if errs = append(errs, err.Error()); ctx.Err() != nil {
			break
		}
	}
	return nil, errors.New(strings.Join(errs, "; "))
}

// rank is what the order of hosts to dial is made of.
type rank struct {
	state    state
	priority uint32
}

func ranks(hosts []*Host) []rank {
	out := make([]rank, len(hosts))
	for i, h := range hosts {
		out[i] = rank{h.state(), h.spec.Load().priority}
	}
	return out
}

// dialOrder gives the hosts by their places: by state, then by priority; those
// that are alike in both are rotated by turn.
func dialOrder(hosts []rank, turn uint64) []int {
	order := make([]int, len(hosts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(hosts[a].state, hosts[b].state), cmp.Compare(hosts[a].priority, hosts[b].priority))
	})
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && hosts[order[to]] == hosts[order[from]] {
			to++
		}
		alike := slices.Clone(order[from:to])
		for i := range alike {
			order[from+i] = alike[(uint64(i)+turn)%uint64(len(alike))]
		}
		from = to
	}
	return order
}
