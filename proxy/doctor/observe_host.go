package doctor

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// links lists the interfaces of the namespace.
func links() ([]Link, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var out []Link
	for _, i := range ifs {
		l := Link{Name: i.Name, MTU: i.MTU, Up: i.Flags&net.FlagUp != 0, Run: i.Flags&net.FlagRunning != 0}
		addrs, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list addresses of %s: %w", i.Name, err)
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				l.Addrs = append(l.Addrs, p.Addr())
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// The settings that are looked at, and those of every interface.
const (
	keyForward4  = "net.ipv4.ip_forward"
	keyForward6  = "net.ipv6.conf.all.forwarding"
	keySomaxconn = "net.core.somaxconn"
	keyPorts     = "net.ipv4.ip_local_port_range"
	keyProbing   = "net.ipv4.tcp_mtu_probing"
	keyNoIPv6    = "net.ipv6.conf.all.disable_ipv6"
	keyLowPorts  = "net.ipv4.ip_unprivileged_port_start"
	keyAccept    = "net.ipv4.tcp_fwmark_accept"
	keySyncookie = "net.ipv4.tcp_syncookies"
)

func keyOf(link, name string) string {
	return "net.ipv4.conf." + strings.ReplaceAll(link, ".", "/") + "." + name
}

// settings reads them; what there is not is not in the result.
func settings(links []Link) map[string]string {
	keys := []string{keyForward4, keyForward6, keySomaxconn, keyPorts, keyProbing, keyNoIPv6, keyLowPorts, keyAccept, keySyncookie}
	names := []string{"all"}
	for _, l := range links {
		names = append(names, l.Name)
	}
	for _, n := range names {
		keys = append(keys, keyOf(n, "rp_filter"), keyOf(n, "route_localnet"), keyOf(n, "src_valid_mark"), keyOf(n, "forwarding"))
	}
	out := map[string]string{}
	for _, k := range keys {
		if b, err := os.ReadFile("/proc/sys/" + sysctlPath(k)); err == nil {
			out[k] = strings.Join(strings.Fields(string(b)), " ")
		}
	}
	return out
}

// sysctlPath turns a key of sysctl(8) into a path below /proc/sys: dots separate,
// and a slash stands for a dot within a name.
func sysctlPath(key string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

// counters reads the namespace's counters, as "TcpExt.ListenDrops".
func counters() (map[string]uint64, error) {
	out := map[string]uint64{}
	for _, name := range []string{"netstat", "snmp"} {
		b, err := os.ReadFile("/proc/thread-self/net/" + name)
		if err != nil {
			return nil, fmt.Errorf("read counters: %w", err)
		}
		parseCounters(b, out)
	}
	return out, nil
}

// parseCounters reads pairs of lines: names, then values.
func parseCounters(b []byte, out map[string]uint64) {
	var names []string
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) == 0 {
			continue
		}
		if len(names) == 0 || names[0] != f[0] {
			names = f
			continue
		}
		for i := 1; i < min(len(f), len(names)); i++ {
			if n, err := strconv.ParseUint(f[i], 10, 64); err == nil {
				out[strings.TrimSuffix(f[0], ":")+"."+names[i]] = n
			}
		}
		names = nil
	}
}

// conntrack reads how full connection tracking is; nil where there is none.
func conntrack() (*Conntrack, error) {
	read := func(key string) (uint64, error) {
		b, err := os.ReadFile("/proc/sys/net/netfilter/" + key)
		if err != nil {
			return 0, err
		}
		return strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	c := &Conntrack{}
	var err error
	if c.Count, err = read("nf_conntrack_count"); err != nil {
		return nil, err
	}
	if c.Max, err = read("nf_conntrack_max"); err != nil {
		return nil, err
	}
	if b, err := os.ReadFile("/proc/thread-self/net/stat/nf_conntrack"); err == nil {
		c.parseStat(b)
	}
	return c, nil
}

// parseStat adds up a line of hexadecimal numbers for each processor.
func (c *Conntrack) parseStat(b []byte) {
	var names []string
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		f := strings.Fields(s.Text())
		if names == nil {
			names = f
			continue
		}
		for i := range min(len(f), len(names)) {
			n, err := strconv.ParseUint(f[i], 16, 64)
			if err != nil {
				continue
			}
			switch names[i] {
			case "drop":
				c.Dropped += n
			case "early_drop":
				c.EarlyDropped += n
			}
		}
	}
}

// readClock asks whether the clock is kept in time.
func readClock() (*Clock, error) {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return nil, fmt.Errorf("adjtimex: %w", err)
	}
	const unsynced = 0x40 // STA_UNSYNC
	return &Clock{
		Synced:   state != unix.TIME_ERROR && t.Status&unsynced == 0,
		MaxError: time.Duration(t.Maxerror) * time.Microsecond,
	}, nil
}
