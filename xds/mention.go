package xds

import (
	"bytes"

	"github.com/weirproxy/weir/config"
)

// nameSet finds which of some names a resource mentions, by its bytes alone.
//
// A listener or route uses a cluster in many places: route actions, weighted clusters, mirrors, tcp_proxy, a filter's gRPC
// service. All of them are protobuf strings, so all of them are the name with its length before it. Looking for that finds every
// use without knowing the message, misses none, and at worst takes another string for a use: then something waits for at most the
// warming deadline. Names that only a request carries (cluster_header) are not found.
type nameSet struct {
	names map[string]struct{}
	short [128]bool // lengths that occur, when they fit one byte of a varint
	long  []string  // names of 128 bytes and more
}

func newNameSet() *nameSet { return &nameSet{names: map[string]struct{}{}} }

func (s *nameSet) add(name string) {
	s.names[name] = struct{}{}
	if len(name) < len(s.short) {
		s.short[len(name)] = true
	} else {
		s.long = append(s.long, name)
	}
}

// each calls f for every place where r mentions a name of the set, until f returns false.
func (s *nameSet) each(r *config.Resource, f func(name string) bool) {
	if len(s.names) == 0 || r == nil || r.Raw == nil {
		return
	}
	raw := r.Raw.GetValue()
	for i, c := range raw {
		if c == 0 || c >= 128 || !s.short[c] || i+1+int(c) > len(raw) {
			continue
		}
		v := raw[i+1 : i+1+int(c)]
		if _, ok := s.names[string(v)]; ok && !f(string(v)) {
			return
		}
	}
	for _, n := range s.long {
		if bytes.Contains(raw, []byte(n)) && !f(n) {
			return
		}
	}
}

// first gives the first name of the set that r mentions, "" when there is none.
func (s *nameSet) first(r *config.Resource) (found string) {
	s.each(r, func(n string) bool { found = n; return false })
	return found
}
