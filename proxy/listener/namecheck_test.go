package listener_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/proxy/info"
	"github.com/weirproxy/weir/proxy/listener/names"
	"github.com/weirproxy/weir/proxy/upstream/dns"
)

// zone is a resolver of what it has; a name that it does not have does not exist, and "broken.test" cannot be looked up.
type zone map[string]string

func (z zone) Resolve(_ context.Context, name string, _ cluster.DNSFamily) ([]netip.Addr, time.Duration, error) {
	if name == "broken.test" {
		return nil, 0, errors.New("no name server")
	}
	a, ok := z[name]
	if !ok {
		return nil, time.Minute, dns.ErrNoSuchName
	}
	return []netip.Addr{netip.MustParseAddr(a)}, time.Minute, nil
}

// judging is a listener with a name_check of its metadata, whose clients go to 198.51.100.9 by a PROXY header.
func judging(t *testing.T, check, chains string) *running {
	t.Helper()
	r := newRig(t, nil)
	c := names.New(zone{"good.test": "198.51.100.9", "bad.test": "198.51.100.10"})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	until(t, "names are looked up", func() bool {
		return c.Wait(ctx, []byte("good.test"), netip.MustParseAddr("198.51.100.9"), time.Minute) == info.NameMatches
	})
	r.o.Names = c
	return r.run(`
name: in
address: {$loopback}
listener_filters: [{name: p, typed_config: {$proxy_protocol, allow_requests_without_proxy_protocol: true}}, $tls_inspector]
access_log: [$log]
metadata: {filter_metadata: {weir.sniffing: {name_check: ` + check + "}}}\n" + chains)
}

const anyChain = "default_filter_chain: {name: rest, filters: [{name: s, typed_config: {$say: rest}}]}\n"

// withECH adds an encrypted_client_hello extension, as it looks outside, to a hello in one record.
func withECH(h []byte) []byte {
	ext := []byte{0xfe, 0x0d, 0, 11, 0, 0, 1, 0, 1, 7, 0, 1, 9, 0, 0}
	h = append(append([]byte{}, h...), ext...)
	add := func(at, n int) { // to a big-endian number of n bytes
		v := 0
		for i := range n {
			v = v<<8 | int(h[at+i])
		}
		v += len(ext)
		for i := range n {
			h[at+n-1-i] = byte(v >> (8 * i))
		}
	}
	add(3, 2)            // the record
	add(6, 3)            // the message
	at := 9 + 2 + 32     // version, random
	at += 1 + int(h[at]) // session id
	at += 2 + int(h[at])<<8 + int(h[at+1])
	at += 1 + int(h[at]) // compression
	add(at, 2)           // the extensions
	return h
}

func TestNamesAreJudged(t *testing.T) {
	f := func(name, check, sni string, ech bool, want info.NameVerdict, served bool, counter string) {
		t.Run(name, func(t *testing.T) {
			x := judging(t, check, anyChain)
			h := hello(t, sni)
			if ech {
				h = withECH(h)
			}
			c := x.dial()
			x.say(c, "PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\n"+string(h))
			if got := line(t, c); strings.HasPrefix(got, "rest ") != served {
				t.Error(got)
			}
			c.Close()
			until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == 1 })
			i, _ := x.r.logs.last()
			if i.NameCheck != want || i.ECH != ech || !served && i.Details != "name_mismatch" || i.Dest.String() != "198.51.100.9:443" {
				t.Errorf("%q, ech %v, %s, %s", i.NameCheck, i.ECH, i.Details, i.Dest)
			}
			for _, k := range []string{"mismatch", "unknown", "untrusted", "denied"} {
				n := int64(0)
				if strings.Contains(counter, k) {
					n = 1
				}
				if got := x.counter("downstream_cx_name_" + k); got != n {
					t.Errorf("downstream_cx_name_%s is %d, want %d", k, got, n)
				}
			}
		})
	}
	const allow, flag, deny, all = "{policy: allow}", "{policy: flag}", "{policy: deny, wait: 10s}", "{policy: deny, wait: 10s, ech: true}"
	f("nobody asks", allow, "bad.test", false, "", true, "")
	f("flagged, right", flag, "good.test", false, info.NameMatches, true, "")
	f("denied, right", deny, "good.test", false, info.NameMatches, true, "")
	f("denied", deny, "bad.test", false, info.NameMismatch, false, "mismatch denied")
	f("denied: no such name", deny, "none.test", false, info.NameMismatch, false, "mismatch denied")
	f("nobody can be asked", deny, "broken.test", false, info.NameUnknown, true, "unknown")
	f("an outer name", deny, "bad.test", true, info.NameUntrusted, true, "untrusted")
	f("an outer name that counts", all, "bad.test", true, info.NameMismatch, false, "mismatch denied")
	f("an outer name when nobody asks", allow, "bad.test", true, "", true, "")
}

// A name that is flagged is not waited for: what is found meanwhile is logged.
func TestAFlaggedNameIsNotWaitedFor(t *testing.T) {
	x := judging(t, "{policy: flag}", anyChain)
	c := x.dial()
	x.say(c, "PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\n"+string(hello(t, "bad.test")))
	if got := line(t, c); !strings.HasPrefix(got, "rest ") {
		t.Error(got)
	}
	dest := netip.MustParseAddr("198.51.100.9")
	until(t, "it is looked up", func() bool { v, _ := x.r.o.Names.Check([]byte("bad.test"), dest); return v == info.NameMismatch })
	c.Close()
	until(t, "it is logged", func() bool { _, n := x.r.logs.last(); return n == 1 })
	if i, _ := x.r.logs.last(); i.NameCheck != info.NameMismatch || x.counter("downstream_cx_name_mismatch") != 1 {
		t.Errorf("%q", i.NameCheck)
	}
}

// Without interception the destination is our own address: no name is wrong for it.
func TestNamesOfConnectionsToUsAreNotJudged(t *testing.T) {
	x := judging(t, "{policy: deny}", anyChain)
	if got := x.ask(string(hello(t, "bad.test"))); !strings.HasPrefix(got, "rest ") {
		t.Error(got)
	}
}

// A name, whatever it is, chooses the filter chain; it never moves the destination.
func TestANameNeverMovesTheDestination(t *testing.T) {
	addr, conns := server(t, "")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, map[string]string{"original": "original"})
	x := r.run(strings.Replace(racing, `application_protocols: ["http/1.1"]`, "application_protocols: [h2c]", 1))
	for _, sni := range []string{"here.test", "elsewhere.test", "127.0.0.2"} {
		n := conns.Load()
		c := x.dial()
		h := hello(t, sni)
		x.say(c, header(t, net.JoinHostPort(host, port))+string(h))
		got := make([]byte, len(h))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != string(h) {
			t.Errorf("%s: %v, or another hello", sni, err)
		}
		if conns.Load() != n+1 {
			t.Errorf("%s: %d connections to the destination", sni, conns.Load()-n)
		}
		c.Close()
	}
}

// The verdict and ECH are inputs of filter_chain_matcher.
func TestVerdictsChooseFilterChains(t *testing.T) {
	x := judging(t, "{policy: deny, wait: 10s}", `
filter_chain_matcher:
  matcher_list:
    matchers:
    - predicate:
        single_predicate:
          input: {name: ech, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/weir.matching.EncryptedClientHelloInput}}
          value_match: {exact: outer}
      on_match: {action: {name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: ech}}}
    - predicate:
        single_predicate:
          input: {name: v, typed_config: {"@type": type.googleapis.com/xds.type.v3.TypedStruct, type_url: type.googleapis.com/weir.matching.NameCheckInput}}
          value_match: {exact: unknown}
      on_match: {action: {name: a, typed_config: {"@type": type.googleapis.com/google.protobuf.StringValue, value: unknown}}}
filter_chains:
- {name: ech, filters: [{name: s, typed_config: {$say: ech}}]}
- {name: unknown, filters: [{name: s, typed_config: {$say: unknown}}]}
`+anyChain)
	for _, c := range []struct{ hello, want string }{
		{string(withECH(hello(t, "bad.test"))), "ech "},
		{string(hello(t, "broken.test")), "unknown "},
		{string(hello(t, "good.test")), "rest "},
	} {
		if got := x.ask("PROXY TCP4 192.0.2.7 198.51.100.9 1234 443\r\n" + c.hello); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %s", c.want, got)
		}
	}
}
