package listener_test

import (
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/weirproxy/weir/proxy/info"
)

const echoListener = `
name: in
address: {$loopback}
access_log: [$log]
filter_chains:
- filters: [{name: tcp, typed_config: {$tcp, cluster: a}}]
`

func TestBytesGoBothWaysAndHalfCloseIsPassedOn(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, echo)})
	x := r.run(echoListener)
	c := x.dial()
	if _, err := io.WriteString(c, "hello"); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	// The origin echoes until it sees our end, and ends then.
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "hello" {
		t.Fatalf("got %q, %v", got, err)
	}
	until(t, "the connection is logged", func() bool { _, n := r.logs.last(); return n == 1 && x.ActiveConns() == 0 })
	i, n := r.logs.last()
	if n != 1 || i.BytesReceived != 5 || i.BytesSent != 5 || i.UpstreamCluster != "a" || i.Flags != 0 {
		t.Errorf("%d entries, the last %+v", n, i)
	}
	for name, want := range map[string]int64{
		"tcp.t.downstream_cx_total": 1, "tcp.t.downstream_cx_rx_bytes_total": 5, "tcp.t.downstream_cx_tx_bytes_total": 5,
		"cluster.a.upstream_cx_total": 1, "cluster.a.upstream_cx_active": 0, "cluster.a.upstream_cx_tx_bytes_total": 5, "cluster.a.upstream_cx_rx_bytes_total": 5,
	} {
		if got := r.stat(name); got != want {
			t.Errorf("%s is %d, want %d", name, got, want)
		}
	}
	if n := x.ActiveConns(); n != 0 {
		t.Errorf("%d connections are active", n)
	}
}

func TestServerMaySpeakFirst(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, func(c *net.TCPConn) {
		_, _ = io.WriteString(c, "220 ready\n")
		_, _ = io.Copy(io.Discard, c)
	})})
	x := r.run(echoListener)
	if got := line(t, x.dial()); got != "220 ready" {
		t.Error(got)
	}
}

func TestFiftyMegabytesEachWayThroughSplice(t *testing.T) {
	const size = 50 << 20
	sums := make(chan uint32, 1)
	r := newRig(t, map[string]string{"a": origin(t, func(c *net.TCPConn) {
		var wg sync.WaitGroup
		wg.Go(func() { writeNoise(t, c, 2, size) })
		h := crc32.NewIEEE()
		if n, err := io.Copy(h, c); n != size || err != nil {
			t.Errorf("the origin got %d, %v", n, err)
		}
		sums <- h.Sum32()
		wg.Wait()
	})})
	x := r.run(echoListener)
	c := x.dial()
	var wg sync.WaitGroup
	wg.Go(func() { writeNoise(t, c, 1, size) })
	h := crc32.NewIEEE()
	n, err := io.Copy(h, c)
	wg.Wait()
	if n != size || err != nil || h.Sum32() != noiseSum(2, size) {
		t.Errorf("the client got %d bytes, %v", n, err)
	}
	if got := <-sums; got != noiseSum(1, size) {
		t.Error("the origin got other bytes than were sent")
	}
	until(t, "the connection is over", func() bool { return x.counter("downstream_cx_destroy") == 1 })
	if i, _ := r.logs.last(); i.BytesReceived != size || i.BytesSent != size || i.Flags != 0 {
		t.Errorf("%d in, %d out, %s", i.BytesReceived, i.BytesSent, i.Flags)
	}
}

// writeNoise writes n bytes of a random stream and finishes.
func writeNoise(t testing.TB, c *net.TCPConn, seed byte, n int) {
	if _, err := io.Copy(struct{ io.Writer }{c}, io.LimitReader(rand.NewChaCha8([32]byte{seed}), int64(n))); err != nil {
		t.Error(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Error(err)
	}
}

func noiseSum(seed byte, n int) uint32 {
	h := crc32.NewIEEE()
	_, _ = io.Copy(h, io.LimitReader(rand.NewChaCha8([32]byte{seed}), int64(n)))
	return h.Sum32()
}

func TestResetsArePassedOn(t *testing.T) {
	t.Run("of the client", func(t *testing.T) {
		seen := make(chan error, 1)
		r := newRig(t, map[string]string{"a": origin(t, func(c *net.TCPConn) {
			_, _ = io.WriteString(c, "hello\n")
			_, err := c.Read(make([]byte, 1))
			seen <- err
		})})
		x := r.run(echoListener)
		c := x.dial()
		line(t, c)
		_ = c.SetLinger(0)
		c.Close()
		if err := <-seen; !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the origin sees %v", err)
		}
		until(t, "it is logged", func() bool { _, n := r.logs.last(); return n == 1 })
		if i, _ := r.logs.last(); i.Flags != info.DownstreamConnectionTermination {
			t.Errorf("flags %s", i.Flags)
		}
	})
	t.Run("of the server", func(t *testing.T) {
		r := newRig(t, map[string]string{"a": origin(t, func(c *net.TCPConn) {
			// A reset before the byte came could be one of the handshake.
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		})})
		c := r.run(echoListener).dial()
		if _, err := io.WriteString(c, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(c); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
		until(t, "it is logged", func() bool { _, n := r.logs.last(); return n == 1 })
		if i, _ := r.logs.last(); i.Flags != info.UpstreamConnectionTermination {
			t.Errorf("flags %s", i.Flags)
		}
	})
}

func TestWhyThereIsNoUpstreamConnection(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := ln.Addr().String()
	ln.Close()
	f := func(name, clusters, flags, details string, stats map[string]int64) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]string{"dead": dead, "o": "original"})
			x := r.run(strings.Replace(echoListener, "cluster: a", clusters, 1))
			if _, err := x.all(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client sees %v, want a reset", err)
			}
			until(t, "it is logged", func() bool { _, n := r.logs.last(); return n == 1 })
			i, _ := r.logs.last()
			if i.Flags.String() != flags || i.Details != details {
				t.Errorf("flags %s, details %s; want %s, %s", i.Flags, i.Details, flags, details)
			}
			for name, want := range stats {
				if got := r.stat(name); got != want {
					t.Errorf("%s is %d, want %d", name, got, want)
				}
			}
		})
	}
	f("no cluster", "cluster: none", "NC", "cluster_not_found", map[string]int64{"tcp.t.downstream_cx_no_route": 1})
	f("refused", "cluster: dead, max_connect_attempts: 3", "UF,URX", "remote_connection_failure", map[string]int64{
		"cluster.dead.upstream_cx_total": 3, "cluster.dead.upstream_cx_connect_fail": 3, "cluster.dead.upstream_cx_connect_attempts_exceeded": 1,
	})
}

func TestWeightedClustersShareConnections(t *testing.T) {
	says := func(s string) string {
		return origin(t, func(c *net.TCPConn) { _, _ = io.WriteString(c, s+"\n") })
	}
	r := newRig(t, map[string]string{"a": says("a"), "b": says("b"), "never": says("never")})
	x := r.run(strings.Replace(echoListener, "cluster: a",
		"weighted_clusters: {clusters: [{name: a, weight: 3}, {name: never, weight: 1}, {name: b, weight: 1}]}", 1))
	const n = 300
	got := map[string]int{}
	for range n {
		c := x.dial()
		got[line(t, c)]++
		c.Close()
	}
	// Binomial: 60 % of 300 is 180 ± 8.5; six deviations are never left.
	if got["a"] < 129 || got["a"] > 231 || got["a"]+got["b"]+got["never"] != n || got["b"] == 0 {
		t.Error(got)
	}
}

func TestIdleAndMaximumDuration(t *testing.T) {
	f := func(name, field, details, stat string) {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, map[string]string{"a": origin(t, echo)})
			x := r.run(strings.Replace(echoListener, "cluster: a", "cluster: a, "+field+": 0.05s", 1))
			if got, err := x.all(); len(got) > 0 || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			until(t, "it is logged", func() bool { _, n := r.logs.last(); return n == 1 })
			if i, _ := r.logs.last(); i.Details != details {
				t.Error(i.Details)
			}
			if got := r.stat("tcp.t." + stat); got != 1 {
				t.Errorf("%s is %d", stat, got)
			}
		})
	}
	f("idle", "idle_timeout", "tcp_session_idle_timeout", "idle_timeout")
	f("duration", "max_downstream_connection_duration", "max_downstream_connection_duration_reached", "max_downstream_connection_duration")
}

func TestNoDescriptorIsLeft(t *testing.T) {
	r := newRig(t, map[string]string{"a": origin(t, echo)})
	x := r.run(echoListener)
	ask := func() {
		c := x.dial()
		defer c.Close()
		if _, err := io.WriteString(c, "x\n"); err != nil {
			t.Fatal(err)
		}
		line(t, c)
	}
	ask()
	until(t, "the first is over", func() bool { return x.ActiveConns() == 0 })
	before := descriptors(t)
	for range 200 {
		ask()
	}
	until(t, "all are over", func() bool { return x.ActiveConns() == 0 && r.stat("cluster.a.upstream_cx_active") == 0 })
	until(t, "their descriptors are closed", func() bool { return descriptors(t) <= before })
}

func descriptors(t testing.TB) int {
	t.Helper()
	l, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(l)
}
