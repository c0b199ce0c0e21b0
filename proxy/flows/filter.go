package flows

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/weirproxy/weir/proxy/info"
)

// A Filter says which flows are wanted. The zero Filter wants all.
type Filter struct {
	IDs                   []string // of flows, of connections with all their requests, or request ids
	Kind                  string
	Live, Ended           bool
	Client, Dest, Host    where
	ServerName, Authority string // with * for anything, without regard to case
	Listener, Chain       string
	Cluster, Route        string
	Path, Method          string
	codeFrom, codeTo      int
	Flags                 info.Flags // any of them
	Failed                bool       // a code of 500 or more, any flag, or tries that failed
	Slow                  float64    // as many milliseconds or more
}

// where is an address, a net or a port.
type where struct {
	net  netip.Prefix
	port uint16
}

// ParseFilter reads a filter from the parameters of a query; those that it does not know are left alone.
func ParseFilter(q url.Values) (*Filter, error) {
	f := &Filter{
		IDs: q["id"], Kind: q.Get("kind"), Live: q.Has("live"), Ended: q.Has("ended"), Failed: q.Has("failed"),
		ServerName: q.Get("sni"), Authority: q.Get("authority"), Listener: q.Get("listener"), Chain: q.Get("chain"),
		Cluster: q.Get("cluster"), Route: q.Get("route"), Path: q.Get("path"), Method: q.Get("method"),
	}
	if k := f.Kind; k != "" && k != "request" && k != "connection" {
		return nil, fmt.Errorf("kind: %q, want request or connection", k)
	}
	for _, x := range []struct {
		name string
		to   *where
	}{{"client", &f.Client}, {"dest", &f.Dest}, {"host", &f.Host}} {
		var err error
		if *x.to, err = parseWhere(q.Get(x.name)); err != nil {
			return nil, fmt.Errorf("%s: %w", x.name, err)
		}
	}
	if c := q.Get("code"); c != "" {
		var err error
		if f.codeFrom, f.codeTo, err = parseCode(c); err != nil {
			return nil, fmt.Errorf("code: %w", err)
		}
	}
	if s := q.Get("flags"); s != "" {
		for _, name := range strings.Split(s, ",") {
			fl, ok := info.ParseFlag(name)
			if !ok {
				return nil, fmt.Errorf("flags: %q is no response flag", name)
			}
			f.Flags |= fl
		}
	}
	if s := q.Get("slow"); s != "" {
		var err error
		if f.Slow, err = strconv.ParseFloat(s, 64); err != nil || f.Slow < 0 {
			return nil, fmt.Errorf("slow: %q, want milliseconds", s)
		}
	}
	return f, nil
}

// parseWhere reads 10.0.0.1, 10.0.0.0/8, 10.0.0.1:443, [::1]:443, :443 or 443.
func parseWhere(s string) (w where, err error) {
	if s == "" {
		return w, nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(s, ":"), 10, 16); err == nil {
		return where{port: uint16(n)}, nil
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		return where{net: p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(s); err == nil {
		return where{net: netip.PrefixFrom(a, a.BitLen())}, nil
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return w, fmt.Errorf("%q, want an address, a net, a port or address:port", s)
	}
	return where{netip.PrefixFrom(ap.Addr().WithZone(""), ap.Addr().BitLen()), ap.Port()}, nil
}

func (w where) takes(a netip.AddrPort) bool {
	return (w.port == 0 || a.Port() == w.port) && (!w.net.IsValid() || w.net.Contains(a.Addr().Unmap().WithZone("")))
}

// parseCode reads 503, 5xx or 500-504.
func parseCode(s string) (from, to int, err error) {
	if len(s) == 3 && strings.EqualFold(s[1:], "xx") && s[0] >= '1' && s[0] <= '9' {
		n := int(s[0]-'0') * 100
		return n, n + 99, nil
	}
	lo, hi, is := strings.Cut(s, "-")
	if from, err = strconv.Atoi(lo); err == nil && is {
		to, err = strconv.Atoi(hi)
	} else {
		to = from
	}
	if err != nil || from < 0 || to < from || to > 999 {
		return 0, 0, fmt.Errorf("%q, want 503, 5xx or 500-504", s)
	}
	return from, to, nil
}

// Takes tells whether a flow is wanted.
func (f *Filter) Takes(x *Flow) bool {
	switch {
	case len(f.IDs) > 0 && !f.named(x),
		f.Kind != "" && f.Kind != x.Kind,
		f.Live && x.State == "ended" && !f.Ended, f.Ended && x.State != "ended" && !f.Live,
		f.codeTo > 0 && (x.Code < f.codeFrom || x.Code > f.codeTo),
		f.Flags != 0 && x.flags&f.Flags == 0,
		f.Slow > 0 && x.Duration < f.Slow,
		f.Failed && !x.failed(),
		f.Method != "" && !strings.EqualFold(f.Method, x.Method),
		!f.Client.takes(x.Client), !f.Dest.takes(x.Destination), !f.Host.takes(x.Host):
		return false
	}
	return like(f.ServerName, x.ServerName) && like(f.Authority, x.Authority) && like(f.Listener, x.Listener) && like(f.Chain, x.Chain) &&
		like(f.Cluster, x.Cluster) && like(f.Route, x.Route) && like(f.Path, x.Path)
}

func (f *Filter) named(x *Flow) bool {
	conn, _, _ := strings.Cut(x.ID, ".")
	for _, id := range f.IDs {
		if id == x.ID || id == conn || id == x.RequestID && id != "" {
			return true
		}
	}
	return false
}

// failed tells whether something went wrong with a flow.
func (f *Flow) failed() bool {
	return f.Code >= 500 || f.flags != 0 || len(f.Tries) > 0 || f.Failure != ""
}

// like matches a text by a pattern in which * stands for anything; the empty pattern matches all.
func like(pattern, s string) bool {
	if pattern == "" {
		return true
	}
	parts := strings.Split(strings.ToLower(pattern), "*")
	s = strings.ToLower(s)
	last := len(parts) - 1
	if last == 0 {
		return s == parts[0]
	}
	rest, ok := strings.CutPrefix(s, parts[0])
	if !ok || len(rest) < len(parts[last]) || !strings.HasSuffix(rest, parts[last]) {
		return false
	}
	rest = rest[:len(rest)-len(parts[last])]
	for _, p := range parts[1:last] {
		at := strings.Index(rest, p)
		if at < 0 {
			return false
		}
		rest = rest[at+len(p):]
	}
	return true
}
