package doctor

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

func TestNameServers(t *testing.T) {
	f := func(conf string, want ...string) {
		t.Helper()
		var got []string
		for _, a := range nameServers([]byte(conf)) {
			got = append(got, a.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", conf, got, want)
		}
	}
	f("", "127.0.0.1:53")
	f("search example\nnameserver 10.0.0.53\n", "10.0.0.53:53")
	f("# no\nnameserver ::1\nnameserver x\nnameserver 10.0.0.1 # y", "[::1]:53", "10.0.0.1:53")
}

// TestAskName asks a server that knows one name by an IPv6 address only.
func TestAskName(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response = true
			switch {
			case q.Name.String() != "shop.example.":
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeAAAA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}, Body: &dnsmessage.AAAAResource{AAAA: [16]byte{15: 1}},
				}}
			}
			out, err := m.Pack()
			if err == nil {
				_, _ = c.WriteTo(out, from)
			}
		}
	}()
	server := netip.MustParseAddrPort(c.LocalAddr().String())
	if err := askName(t.Context(), server, "shop.example", 0); err != nil {
		t.Error(err)
	}
	if err := askName(t.Context(), server, "nobody.example", 0); err == nil || err.Error() != "it answers NameError" {
		t.Errorf("a name that is not there: %v", err)
	}
	_ = c.Close()
	<-done
	if err := askName(t.Context(), server, "shop.example", 0); err == nil {
		t.Error("a server that is gone answers")
	}
}

func TestCounters(t *testing.T) {
	got := map[string]uint64{}
	parseCounters([]byte("TcpExt: SyncookiesSent ListenDrops X\nTcpExt: 1 22 -1\nIpExt: A\nIpExt: 3\nrest\n"), got)
	if want := map[string]uint64{"TcpExt.SyncookiesSent": 1, "TcpExt.ListenDrops": 22, "IpExt.A": 3}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var c Conntrack
	c.parseStat([]byte("entries searched drop early_drop\n0000000a 0 0000000f 1\n0000000a 0 1 zz\n"))
	if c.Dropped != 16 || c.EarlyDropped != 1 {
		t.Errorf("conntrack: %+v", c)
	}
}
