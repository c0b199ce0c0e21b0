package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/weirproxy/weir/proxy/intercept/survey"
)

// What a connection was tried for.
const (
	kindCluster = "cluster"
	kindControl = "control plane"
)

// How many connections are tried, at a time and in all, and how long one may take.
const (
	reachAtOnce = 16
	reachAtMost = 64
	reachWait   = time.Second
)

// reach tries connections to the hosts of clusters that have no healthy one or had
// failures, and to control planes. Their mark is that of Weir's own, so that they go
// the way that its connections go.
func (f *Facts) reach(ctx context.Context) {
	if f.Live == nil {
		return
	}
	todo := f.toReach()
	if len(todo) == 0 {
		return
	}
	d := net.Dialer{Timeout: reachWait, Control: survey.MarkControl(f.Live.OwnMark)}
	var wg sync.WaitGroup
	room := make(chan struct{}, reachAtOnce)
	for i := range todo {
		wg.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			network := "tcp"
			if strings.HasPrefix(todo[i].Addr, "/") {
				network = "unix"
			}
			c, err := d.DialContext(ctx, network, todo[i].Addr)
			if err != nil {
				todo[i].Error = reason(err)
				return
			}
			_ = c.Close()
		})
	}
	wg.Wait()
	f.Reach = todo
	f.read(partReach)
}

// toReach lists what is worth trying.
func (f *Facts) toReach() (out []Reach) {
	for _, c := range f.Live.Clusters {
		if c.Type == "ORIGINAL_DST" {
			continue
		}
		for _, h := range c.Hosts {
			if f.Live.Offline || c.Healthy == 0 || h.ConnectFail > 0 {
				out = append(out, Reach{Kind: kindCluster, Name: c.Name, Addr: h.Addr})
			}
		}
	}
	if x := f.Live.XDS; f.Live.Offline || x != nil && slices.ContainsFunc(x.Sources, func(s LiveSource) bool { return !s.Connected }) {
		for _, a := range f.Live.ControlPlanes {
			out = append(out, Reach{Kind: kindControl, Name: a, Addr: a})
		}
	}
	return out[:min(len(out), reachAtMost)]
}

// reason is why a connection was not made, without the addresses.
func reason(err error) string {
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		if op.Timeout() {
			return fmt.Sprintf("no answer within %s", reachWait)
		}
		err = op.Err
	}
	return strings.TrimPrefix(err.Error(), "connect: ")
}

// askNames asks every name server of a resolver's configuration for the first name
// that a cluster needs; none is asked when none needs one.
func askNames(ctx context.Context, path string, l *Live) ([]NameServer, error) {
	name := ""
	if l != nil {
		for _, c := range l.Clusters {
			if len(c.Names) > 0 && (name == "" || c.Healthy == 0) {
				name = c.Names[0]
			}
		}
	}
	if name == "" {
		return nil, nil
	}
	if path == "" {
		path = "/etc/resolv.conf"
	}
	b, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read resolver configuration: %w", err)
	}
	servers := nameServers(b)
	out := make([]NameServer, len(servers))
	var wg sync.WaitGroup
	for i, s := range servers {
		out[i] = NameServer{Addr: s.String(), Name: name}
		wg.Go(func() {
			if err := askName(ctx, s, name, l.OwnMark); err != nil {
				out[i].Answer = err.Error()
			}
		})
	}
	wg.Wait()
	return out, nil
}

// nameServers reads resolv.conf(5): without a server it is this machine's.
func nameServers(b []byte) (out []netip.AddrPort) {
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if len(f) < 2 || f[0] != "nameserver" {
			continue
		}
		if a, err := netip.ParseAddr(f[1]); err == nil {
			out = append(out, netip.AddrPortFrom(a, 53))
		}
	}
	if len(out) == 0 {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53))
	}
	return out
}

// askName asks one server for the IPv4 and IPv6 addresses of a name (RFC 1035).
func askName(ctx context.Context, server netip.AddrPort, name string, mark uint32) error {
	n, err := dnsmessage.NewName(strings.TrimSuffix(name, ".") + ".")
	if err != nil {
		return fmt.Errorf("name %q: %w", name, err)
	}
	d := net.Dialer{Control: survey.MarkControl(mark)}
	c, err := d.DialContext(ctx, "udp", server.String())
	if err != nil {
		return errors.New(reason(err))
	}
	defer func() { _ = c.Close() }()
	if err := c.SetDeadline(time.Now().Add(reachWait)); err != nil {
		return err
	}
	var last error
	for id, t := range []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA} {
		q := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: uint16(id + 1), RecursionDesired: true},
			Questions: []dnsmessage.Question{{Name: n, Type: t, Class: dnsmessage.ClassINET}},
		}
		b, err := q.Pack()
		if err != nil {
			return fmt.Errorf("pack question: %w", err)
		}
		if _, err := c.Write(b); err != nil {
			return errors.New(reason(err))
		}
		buf := make([]byte, 4096)
		k, err := c.Read(buf)
		if err != nil {
			return errors.New(reason(err))
		}
		var a dnsmessage.Message
		if err := a.Unpack(buf[:k]); err != nil {
			return fmt.Errorf("its answer is not understood: %w", err)
		}
		switch {
		case a.RCode != dnsmessage.RCodeSuccess:
			last = fmt.Errorf("it answers %s", strings.TrimPrefix(a.RCode.String(), "RCode"))
		case len(a.Answers) > 0:
			return nil
		default:
			last = errors.New("it has no address for it")
		}
	}
	return last
}
