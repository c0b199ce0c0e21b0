// Package tcpproxy is envoy.filters.network.tcp_proxy: a connection is taken as it
// is to a host of a cluster, and bytes are moved both ways.
//
// The upstream connection is opened before a byte of the client's is waited for,
// so that a server may speak first. Bytes that the listener filters looked at go
// out in the first write.
package tcpproxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"time"

	"github.com/cespare/xxhash/v2"
	"go.uber.org/zap"

	"github.com/weirproxy/weir/filters"
	"github.com/weirproxy/weir/proxy/buffer"
	"github.com/weirproxy/weir/proxy/conn"
	"github.com/weirproxy/weir/proxy/flows"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/netio"
	"github.com/weirproxy/weir/proxy/stats"
	"github.com/weirproxy/weir/proxy/tcp"
	"github.com/weirproxy/weir/proxy/upstream"
)

// Stats are the filter's statistics, under tcp.<stat_prefix>. and by Envoy's names
// (Envoy: TCP proxy statistics).
type Stats struct {
	CxTotal     *stats.Counter `stat:"downstream_cx_total"`
	CxNoRoute   *stats.Counter `stat:"downstream_cx_no_route"`
	TxBytes     *stats.Counter `stat:"downstream_cx_tx_bytes_total"`
	RxBytes     *stats.Counter `stat:"downstream_cx_rx_bytes_total"`
	IdleTimeout *stats.Counter `stat:"idle_timeout"`
	MaxDuration *stats.Counter `stat:"max_downstream_connection_duration"`
	FlushTotal  *stats.Counter `stat:"upstream_flush_total"`  // writes are waited for: stays 0
	FlushActive *stats.Gauge   `stat:"upstream_flush_active"` // likewise
}

type filter struct {
	c       *Config
	st      *Stats
	up      *upstream.Manager
	log     *zap.Logger
	loggers []filters.AccessLogger
	flows   *flows.Table
}

func build(c *Config, bc *filters.BuildContext) (any, error) {
	if bc.Clusters == nil {
		return nil, errors.New("no clusters to proxy to")
	}
	f := &filter{c: c, up: bc.Clusters, log: bc.Log, flows: bc.Flows, st: stats.Fill[Stats](bc.Stats.Scope("tcp", c.statPrefix))}
	if f.log == nil {
		f.log = zap.NewNop()
	}
	var err error
	f.loggers, err = filters.MakeLoggers(c.accessLog, bc)
	return f, err
}

// ServeConn implements filters.TerminalFilter.
func (f *filter) ServeConn(c *conn.Conn) error {
	f.st.CxTotal.Inc()
	f.flows.Passed(&c.Info)
	err := f.serve(c)
	if len(f.loggers) > 0 {
		c.Info.End = time.Now()
		for _, a := range f.loggers {
			a.Log(c, nil)
		}
	}
	return err
}

func (f *filter) serve(c *conn.Conn) error {
	var deadline time.Time
	if f.c.maxDuration > 0 {
		deadline = c.Info.Start.Add(f.c.maxDuration)
	}
	up, said, err := f.connect(c, deadline)
	if err != nil {
		// A client that would not have been connected without us must not take the
		// end for an empty answer.
		_ = c.Reset()
		return err
	}
	defer up.Close()
	if c.Preamble != nil && !f.preamble(c, up) {
		_ = c.Reset()
		return errPreamble
	}
	// When the listener ends, so must a direction that only waits for the server.
	stop := context.AfterFunc(base(c), func() { _ = up.Conn.Close() })
	defer stop()
	if len(f.loggers) > 0 {
		c.Info.UpstreamLocal = up.LocalAddr()
	}
	c.Reach(conn.Connected)
	cl := up.Host.Cluster().Stats()
	res := tcp.Copy(
		tcp.Side{Conn: c.Conn, Buffered: c.In.Bytes(), Written: c.In.Discard},
		tcp.Side{Conn: peer{up}, Buffered: said.Bytes(), Written: said.Discard},
		tcp.Options{
			Idle: f.c.idle, Deadline: deadline,
			AToB: func(n int) { f.st.RxBytes.Add(uint64(n)); cl.CxTxBytesTotal.Add(uint64(n)) },
			BToA: func(n int) { f.st.TxBytes.Add(uint64(n)); cl.CxRxBytesTotal.Add(uint64(n)) },
		})
	c.Info.BytesReceived += res.AToB
	c.Info.BytesSent += res.BToA
	f.judge(c, up, &res)
	return res.Err
}

// judge records why the connection ended.
func (f *filter) judge(c *conn.Conn, up *upstream.TCP, res *tcp.Result) {
	i := &c.Info
	switch res.Reason {
	case tcp.AFailed:
		if errors.Is(res.Err, os.ErrClosed) {
			i.Details = "listener_closed"
			break
		}
		i.Flags |= info.DownstreamConnectionTermination
		i.Details = upstream.DetailsDownstreamAborted
		up.Report(upstream.Outcome{Failure: upstream.Cancelled})
	case tcp.BFailed:
		i.Flags |= info.UpstreamConnectionTermination
		i.Details = upstream.DetailsTermination
		if res.BToA == 0 {
			up.Report(upstream.Outcome{Failure: upstream.Reset})
		}
	case tcp.IdleTimeout:
		f.st.IdleTimeout.Inc()
		i.Details = "tcp_session_idle_timeout"
	case tcp.DeadlinePassed:
		f.st.MaxDuration.Inc()
		i.Flags |= info.DurationTimeout
		i.Details = "max_downstream_connection_duration_reached"
	}
}

// connect opens a connection to a host, with as many attempts as are configured, or takes the one that was opened
// ahead. With it comes what the server said already.
func (f *filter) connect(c *conn.Conn, deadline time.Time) (*upstream.TCP, *buffer.Buf, error) {
	i := &c.Info
	name := f.c.clusters[0].name
	if len(f.c.clusters) > 1 {
		name = f.c.draw(rand.Uint64())
	}
	cl, ok := f.up.Get(name)
	if !ok {
		f.st.CxNoRoute.Inc()
		i.Flags |= info.NoClusterFound
		i.Details = "cluster_not_found"
		return nil, nil, fmt.Errorf("cluster %q: not found", name)
	}
	i.UpstreamCluster = name
	pick := upstream.PickInfo{Dest: i.Original()}
	if a := i.Source.Addr(); f.c.hashSource && a.IsValid() {
		var b [48]byte
		pick.Hash, pick.HasHash = xxhash.Sum64(a.AppendTo(b[:0])), true
	}
	open := upstream.OpenInfo{Deadline: deadline, Loop: c.Loop, Namespace: c.Namespace}
	for attempt := 1; ; attempt++ {
		h, err := cl.Pick(&pick)
		if err == nil {
			i.UpstreamHost = h.Address()
			open.Borrow(i, h.Address())
			up, said, aerr, there := takeAhead(c, cl, h, &open)
			if !there {
				said = new(buffer.Buf)
				up, aerr = cl.OpenTCP(base(c), h, &open)
			}
			if err = aerr; err == nil {
				return up, said, nil
			}
		}
		if !retriable(err) || attempt >= f.c.attempts {
			f.failed(c, cl, err)
			return nil, nil, err
		}
	}
}

// retriable tells whether another attempt may do better: only when connecting
// failed.
func retriable(err *upstream.Error) bool {
	return err.Another || err.Details == upstream.DetailsConnectFailure || err.Details == upstream.DetailsConnectTimeout
}

// failed records that there is no upstream connection.
func (f *filter) failed(c *conn.Conn, cl *upstream.Cluster, err *upstream.Error) {
	i := &c.Info
	i.Flags |= err.Flag
	i.Details = err.Details
	switch {
	case err.Flag.Has(info.UpstreamRequestTimeout):
		// The connection's own time was up.
		i.Flags = i.Flags&^info.UpstreamRequestTimeout | info.DurationTimeout
		i.Details = "max_downstream_connection_duration_reached"
		f.st.MaxDuration.Inc()
	case retriable(err):
		i.Flags |= info.UpstreamRetryLimitExceeded
		cl.Stats().CxConnectAttempts.Inc()
	}
	if errors.Is(err, syscall.EADDRNOTAVAIL) && i.Spoof {
		f.log.Warn("connect from the client's address", zap.Stringer("source", i.Source), zap.Error(err))
	}
}

// A peer is an upstream connection as bytes are moved to and from it.
type peer struct{ *upstream.TCP }

// Socket implements netio.Conn.
func (p peer) Socket() *netio.Socket { return p.Conn.Socket() }

// base is the context that a dial ends with.
func base(c *conn.Conn) context.Context {
	if c.Context != nil {
		return c.Context
	}
	return context.TODO()
}
