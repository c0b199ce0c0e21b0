package dns

import (
	"bufio"
	"bytes"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Config is how names are looked up: what resolv.conf and hosts say.
type Config struct {
	Servers  []netip.AddrPort        // asked in this order
	Search   []string                // domains tried for names with few dots
	Dots     int                     // ndots: from so many dots on a name is tried as it is first
	Timeout  time.Duration           // of one question to one server
	Attempts int                     // rounds over all servers
	Hosts    map[string][]netip.Addr // lower-case name to addresses
}

// The limits of resolv.conf(5), and its defaults.
const (
	maxServers      = 3
	maxSearch       = 6
	defaultDots     = 1
	defaultTimeout  = 5 * time.Second
	defaultAttempts = 2
)

// System reads /etc/resolv.conf and /etc/hosts. A missing or unreadable file
// counts as empty, as for everybody else.
func System() *Config {
	conf, _ := os.ReadFile("/etc/resolv.conf")
	hosts, _ := os.ReadFile("/etc/hosts")
	c := ParseResolvConf(conf)
	c.Hosts = ParseHosts(hosts)
	return c
}

// ParseResolvConf reads resolv.conf(5). What it does not understand it skips.
func ParseResolvConf(b []byte) *Config {
	c := &Config{Dots: defaultDots, Timeout: defaultTimeout, Attempts: defaultAttempts}
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		line := s.Text()
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && len(c.Servers) < maxServers {
				c.Servers = append(c.Servers, netip.AddrPortFrom(a, 53))
			}
		case "search", "domain":
			c.Search = nil
			for _, d := range f[1:] {
				if d = strings.Trim(d, "."); d != "" && len(c.Search) < maxSearch {
					c.Search = append(c.Search, d)
				}
			}
		case "options":
			c.options(f[1:])
		}
	}
	if len(c.Servers) == 0 {
		c.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return c
}

func (c *Config) options(opts []string) {
	for _, o := range opts {
		name, value, ok := strings.Cut(o, ":")
		n, err := strconv.Atoi(value)
		if !ok || err != nil || n < 0 {
			continue
		}
		switch name {
		case "ndots":
			c.Dots = min(n, 15)
		case "timeout":
			c.Timeout = time.Duration(min(max(n, 1), 30)) * time.Second
		case "attempts":
			c.Attempts = min(max(n, 1), 5)
		}
	}
}

// ParseHosts reads hosts(5).
func ParseHosts(b []byte) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	s := bufio.NewScanner(bytes.NewReader(b))
	for s.Scan() {
		line, _, _ := strings.Cut(s.Text(), "#")
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		a, err := netip.ParseAddr(f[0])
		if err != nil {
			continue
		}
		for _, name := range f[1:] {
			name = strings.ToLower(strings.TrimSuffix(name, "."))
			if !slices.Contains(out[name], a) {
				out[name] = append(out[name], a)
			}
		}
	}
	return out
}

// names lists what is asked for a name, in order: the search domains come first
// for a name with few dots, and not at all for one that ends with a dot.
func (c *Config) names(name string) []string {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	plain := name + "."
	var out []string
	if strings.Count(name, ".") >= c.Dots {
		out = append(out, plain)
	}
	for _, d := range c.Search {
		out = append(out, name+"."+d+".")
	}
	if strings.Count(name, ".") < c.Dots {
		out = append(out, plain)
	}
	return out
}
