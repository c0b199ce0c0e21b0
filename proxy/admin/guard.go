package admin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// guard refuses what a web page could have made a browser send: requests for a
// name that an attacker may have pointed at this address (DNS rebinding), and
// POSTs of another origin. Reading across origins needs no rule of ours: the
// answers carry no access-control-allow-origin.
func (s *Server) guard(r *http.Request, byName bool) error {
	if byName && !s.ours(r.Host) {
		return fmt.Errorf("host %q is not this interface: use an address or localhost", r.Host)
	}
	if err := s.cross.Check(r); err != nil {
		return fmt.Errorf("request of another origin: %w", err)
	}
	return nil
}

// ours says that no foreign name server can have brought the request here.
func (s *Server) ours(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return name == "" || name == "localhost" || strings.HasSuffix(name, ".localhost") ||
		slices.ContainsFunc(s.o.Hosts, func(h string) bool { return strings.EqualFold(h, name) })
}
