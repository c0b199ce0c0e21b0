package intercept

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/weirproxy/weir/test/netns"
)

// BenchmarkConnectPastCIDRs opens forwarded connections while a plan excludes many
// networks, none of which they go to: what docs/interception-backends.md says of
// sets and of lists. apply-ms is what applying the plan took.
func BenchmarkConnectPastCIDRs(b *testing.B) {
	b.Setenv("RUNTIME_DIRECTORY", b.TempDir())
	top := netns.Start(b, netns.Options{})
	ln, err := top.Server.Listen(b.Context(), nil, "tcp", ":80")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	for _, backend := range []Backend{NFT, IPTablesNFT, IPTablesLegacy} {
		if _, err := findTool(backend); backend != NFT && err != nil {
			continue
		}
		for _, n := range []int{0, 1000, 10000} {
			b.Run(fmt.Sprintf("%s/%d", backend, n), func(b *testing.B) {
				p := Plan{Backend: backend, ListenPort: proxyPort, Families: IPv4}
				for i := range n {
					a := netip.AddrFrom4([4]byte{172, byte(16 + i>>12), byte(i >> 4), byte(i << 4)})
					p.ExcludeCIDRs = append(p.ExcludeCIDRs, netip.PrefixFrom(a, 29))
				}
				var h *Handle
				began := time.Now()
				if err := top.Gateway.Do(func() (err error) { h, err = Apply(p, Installed); return err }); err != nil {
					b.Fatal(err)
				}
				took := time.Since(began)
				defer h.Close()
				dial := top.Client.DialContext(&net.Dialer{})
				dst := netip.AddrPortFrom(top.ServerAddr4(), 80).String()
				for b.Loop() {
					c, err := dial(context.Background(), "tcp", dst)
					if err != nil {
						b.Fatal(err)
					}
					c.Close()
				}
				b.ReportMetric(float64(took.Milliseconds()), "apply-ms")
			})
		}
	}
}
