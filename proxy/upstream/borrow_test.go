package upstream

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weirproxy/weir/proxy/info"
)

func TestBorrow(t *testing.T) {
	four, six := netip.MustParseAddrPort("192.0.2.1:4000"), netip.MustParseAddrPort("[2001:db8::1]:4000")
	host4, host6 := netip.MustParseAddrPort("10.0.0.1:80"), netip.MustParseAddrPort("[fd00::1]:80")
	for _, c := range []struct {
		name string
		c    info.Conn
		to   netip.AddrPort
		want OpenInfo
	}{
		{"not lent", info.Conn{Source: four}, host4, OpenInfo{}},
		{"the address", info.Conn{Source: four, Spoof: true, SpoofMark: 7}, host4, OpenInfo{Source: netip.AddrPortFrom(four.Addr(), 0), Transparent: true, Mark: 7}},
		{"and the port", info.Conn{Source: six, Spoof: true, SpoofPort: true}, host6, OpenInfo{Source: six, Transparent: true}},
		{"to the other IP version", info.Conn{Source: six, Spoof: true, SpoofMark: 7}, host4, OpenInfo{}},
		{"no client address", info.Conn{Spoof: true}, host4, OpenInfo{}},
		{"a unix socket", info.Conn{Source: four, Spoof: true}, netip.AddrPort{}, OpenInfo{}},
	} {
		got := OpenInfo{Source: host6, Transparent: true, Mark: 9} // of the try before
		got.Borrow(&c.c, c.to)
		if d := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmpopts.IgnoreUnexported()); d != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, d)
		}
	}
}
