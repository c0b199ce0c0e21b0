package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/weirproxy/weir/config/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a small real name server on loopback, over UDP and TCP.
type server struct {
	addr netip.AddrPort
	wg   sync.WaitGroup

	mu    sync.Mutex
	zone  map[string][]netip.Addr // by "name." and family
	ttl   uint32
	rcode dnsmessage.RCode // when not success, the answer to everything
	cut   bool             // truncate over UDP
	asked []string
}

func newServer(t *testing.T) *server {
	t.Helper()
	// One port that is free for both.
	var pc net.PacketConn
	var ln net.Listener
	for ok := false; !ok; {
		var err error
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if pc, err = net.ListenPacket("udp", ln.Addr().String()); err != nil {
			ln.Close()
			continue
		}
		ok = true
	}
	s := &server{addr: ln.Addr().(*net.TCPAddr).AddrPort(), zone: map[string][]netip.Addr{}, ttl: 60}
	s.wg.Go(func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = pc.WriteTo([]byte("garbage"), from) // must be ignored
			_, _ = pc.WriteTo(s.answer(buf[:n], "udp"), from)
		}
	})
	s.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			_, _ = io.ReadFull(c, size[:])
			q := make([]byte, binary.BigEndian.Uint16(size[:]))
			_, _ = io.ReadFull(c, q)
			a := s.answer(q, "tcp")
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...))
			c.Close()
		}
	})
	t.Cleanup(func() { pc.Close(); ln.Close(); s.wg.Wait() })
	return s
}

func (s *server) answer(query []byte, network string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p dnsmessage.Parser
	h, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(q.Name.String())
	s.asked = append(s.asked, network+" "+strings.TrimPrefix(q.Type.String(), "Type")+" "+name)
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: h.ID, Response: true, RecursionAvailable: true, RCode: s.rcode}, Questions: []dnsmessage.Question{q}}
	all, known := s.zone[name]
	if !known && s.rcode == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	rh := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: s.ttl}
	if s.cut && network == "udp" {
		m.Truncated = true
		all = nil
	}
	for _, a := range all {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: rh, Body: &dnsmessage.AResource{A: a.As4()}})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: rh, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	if len(m.Answers) == 0 {
		root := dnsmessage.MustNewName("test.")
		rh.Name = root
		m.Authorities = append(m.Authorities, dnsmessage.Resource{Header: rh, Body: &dnsmessage.SOAResource{NS: root, MBox: root, MinTTL: 7}})
	}
	b, err := m.Pack()
	if err != nil {
		return nil
	}
	return b
}

// set changes the zone.
func (s *server) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *server) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func resolver(s *server, more ...func(*Config)) *Resolver {
	c := &Config{Servers: []netip.AddrPort{s.addr}, Dots: 1, Timeout: 2 * time.Second, Attempts: 1}
	for _, f := range more {
		f(c)
	}
	return New(func() *Config { return c }, 0)
}

func ips(s ...string) []netip.Addr {
	var out []netip.Addr
	for _, x := range s {
		out = append(out, netip.MustParseAddr(x))
	}
	return out
}

func TestFamilies(t *testing.T) {
	s := newServer(t)
	s.set(func() { s.zone["both.test."] = ips("192.0.2.1", "2001:db8::1", "192.0.2.2") })
	s.set(func() { s.zone["four.test."] = ips("192.0.2.4") })
	r := resolver(s)
	for _, tc := range []struct {
		name   string
		family cluster.DNSFamily
		want   []netip.Addr
		err    error
	}{
		{"both.test", cluster.FamilyAuto, ips("2001:db8::1"), nil},
		{"both.test", cluster.V4Only, ips("192.0.2.1", "192.0.2.2"), nil},
		{"both.test", cluster.V4Preferred, ips("192.0.2.1", "192.0.2.2"), nil},
		{"both.test", cluster.V6Only, ips("2001:db8::1"), nil},
		{"both.test", cluster.All, ips("2001:db8::1", "192.0.2.1", "192.0.2.2"), nil},
		{"four.test", cluster.FamilyAuto, ips("192.0.2.4"), nil},
		{"four.test", cluster.All, ips("192.0.2.4"), nil},
		{"four.test", cluster.V6Only, nil, ErrNoAddress},
		{"none.test", cluster.V4Only, nil, ErrNoSuchName},
		{"none.test", cluster.FamilyAuto, nil, ErrNoSuchName},
		{"192.0.2.9", cluster.V6Only, ips("192.0.2.9"), nil},
	} {
		got, ttl, err := r.Resolve(context.Background(), tc.name, tc.family)
		if diff := cmp.Diff(tc.want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || !errors.Is(err, tc.err) {
			t.Errorf("%s, family %d: %v, %v\n%s", tc.name, tc.family, got, err, diff)
		}
		want := time.Minute
		switch {
		case err != nil:
			want = 7 * time.Second // the SOA's minimum, RFC 2308
		case tc.name == "192.0.2.9":
			want = hostsTTL
		}
		if ttl != want {
			t.Errorf("%s: ttl %v, want %v", tc.name, ttl, want)
		}
	}
}

func TestTruncatedAnswerIsAskedForOverTCP(t *testing.T) {
	s := newServer(t)
	s.set(func() { s.zone["a.test."], s.cut = ips("192.0.2.1"), true })
	got, _, err := resolver(s).Resolve(context.Background(), "a.test", cluster.V4Only)
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	if diff := cmp.Diff([]string{"udp A a.test.", "tcp A a.test."}, s.questions()); diff != "" {
		t.Error(diff)
	}
}

func TestServerFailureAsksTheNext(t *testing.T) {
	bad, good := newServer(t), newServer(t)
	bad.set(func() { bad.rcode = dnsmessage.RCodeServerFailure })
	good.set(func() { good.zone["a.test."] = ips("192.0.2.1") })
	r := resolver(bad, func(c *Config) { c.Servers = append(c.Servers, good.addr) })
	if got, _, err := r.Resolve(context.Background(), "a.test", cluster.V4Only); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	_, _, err := resolver(bad).Resolve(context.Background(), "a.test", cluster.V4Only)
	if err == nil || errors.Is(err, ErrNoSuchName) || !strings.Contains(err.Error(), "ServerFailure") {
		t.Errorf("got %v", err)
	}
}

func TestSearchListAndHosts(t *testing.T) {
	s := newServer(t)
	s.set(func() { s.zone["api.corp.test."] = ips("192.0.2.1") })
	r := resolver(s, func(c *Config) {
		c.Search = []string{"lab.test", "corp.test"}
		c.Hosts = ParseHosts([]byte("127.0.0.5 Box # me\n::5 box\n"))
	})
	if got, _, err := r.Resolve(context.Background(), "api", cluster.V4Only); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	if diff := cmp.Diff([]string{"udp A api.lab.test.", "udp A api.corp.test."}, s.questions()); diff != "" {
		t.Error(diff)
	}
	if got, _, err := r.Resolve(context.Background(), "BOX", cluster.V4Preferred); err != nil || len(got) != 1 || got[0] != ips("127.0.0.5")[0] {
		t.Error(got, err)
	}
}

func TestCancelled(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0") // hears, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	gone := errors.New("gone")
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &Config{Servers: []netip.AddrPort{pc.LocalAddr().(*net.UDPAddr).AddrPort()}, Timeout: time.Minute, Attempts: 3}
	done := make(chan error, 1)
	go func() {
		_, _, err := New(func() *Config { return c }, 0).Resolve(ctx, "a.test", cluster.V4Only)
		done <- err
	}()
	if _, _, err := pc.ReadFrom(make([]byte, 512)); err != nil {
		t.Fatal(err)
	}
	cancel(gone)
	if err := <-done; !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestResolvConf(t *testing.T) {
	got := ParseResolvConf([]byte("# c\nnameserver 192.0.2.53\nnameserver fe80::1%eth0\nnameserver bad\n" +
		"domain old.test\nsearch a.test b.test.\noptions ndots:2 timeout:1 attempts:99 rotate\n"))
	want := &Config{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53"), netip.MustParseAddrPort("[fe80::1%eth0]:53")},
		Search:  []string{"a.test", "b.test"}, Dots: 2, Timeout: time.Second, Attempts: 5,
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	if got := ParseResolvConf(nil); got.Servers[0].String() != "127.0.0.1:53" || got.Dots != 1 {
		t.Errorf("empty: %+v", got)
	}
}

func FuzzParse(f *testing.F) {
	n := dnsmessage.MustNewName("a.test.")
	q := dnsmessage.Question{Name: n, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{Response: true}, Questions: []dnsmessage.Question{q}, Answers: []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: n, Class: dnsmessage.ClassINET, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{192, 0, 2, 1}},
	}}}
	b, err := m.Pack()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		answers(b, 0, q)
		addrs, ttl, cut, err := parse(b, q)
		if ttl < 0 || (cut || err != nil) && addrs != nil {
			t.Errorf("%v %v %v %v", addrs, ttl, cut, err)
		}
	})
}

func FuzzConf(f *testing.F) {
	f.Add([]byte("nameserver 192.0.2.1\nsearch a b\noptions ndots:3\n"))
	f.Add([]byte("127.0.0.1 localhost # x\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := ParseResolvConf(b); len(c.Servers) == 0 || c.Timeout <= 0 || c.Attempts <= 0 {
			t.Errorf("%+v", c)
		}
		ParseHosts(b)
	})
}
