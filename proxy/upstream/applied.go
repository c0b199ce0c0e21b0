package upstream

import (
	"cmp"
	"reflect"
	"slices"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/cluster"
)

// applied is what Apply was given last, so that it looks only at what differs.
type applied struct {
	clusters, endpoints map[string]*config.Resource
	users               map[string][]string // assignment → EDS clusters that have it
	failed              map[string]struct{} // clusters that could not be built: tried again every time
}

func newApplied() applied {
	return applied{users: map[string][]string{}, failed: map[string]struct{}{}}
}

// changed gives the clusters of s that are not what they were, or whose assignments are not, also those that are gone; from now on s
// is what was applied last. To compare the maps of 10,000 costs half a millisecond; a map that is the very same one costs nothing.
func (a *applied) changed(s *config.Snapshot) map[string]struct{} {
	out := map[string]struct{}{}
	for name := range a.failed {
		out[name] = struct{}{}
	}
	differ(a.clusters, s.Clusters, func(name string, was, is *config.Resource) {
		out[name] = struct{}{}
		before, after := assignmentKey(was), assignmentKey(is)
		if before == after {
			return
		}
		if before != "" {
			left := slices.DeleteFunc(slices.Clone(a.users[before]), func(n string) bool { return n == name })
			if a.users[before] = left; len(left) == 0 {
				delete(a.users, before)
			}
		}
		if after != "" {
			a.users[after] = append(a.users[after], name)
		}
	})
	differ(a.endpoints, s.Endpoints, func(key string, _, _ *config.Resource) {
		for _, name := range a.users[key] {
			out[name] = struct{}{}
		}
	})
	a.clusters, a.endpoints = s.Clusters, s.Endpoints
	return out
}

// differ calls f for every name of which two maps do not have the same.
func differ(old, now map[string]*config.Resource, f func(name string, was, is *config.Resource)) {
	if sameMap(old, now) {
		return
	}
	for name, r := range now {
		if was := old[name]; was != r {
			f(name, was, r)
		}
	}
	for name, r := range old {
		if _, ok := now[name]; !ok {
			f(name, r, nil)
		}
	}
}

// sameMap tells whether both are one map, not just alike.
func sameMap[V any](a, b map[string]V) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// assignmentKey is by which a snapshot has the assignment of an EDS cluster; "" for others.
func assignmentKey(r *config.Resource) string {
	if r == nil {
		return ""
	}
	cfg, ok := r.Value.(*cluster.Cluster)
	if !ok || cfg.Type != cluster.EDS {
		return ""
	}
	return cmp.Or(cfg.EDSKey, cfg.EDSName, cfg.Name)
}

// assignmentVersion is the version of a cluster's assignment by EDS; "" without.
func assignmentVersion(s *config.Snapshot, cfg *cluster.Cluster) string {
	if cfg.Type == cluster.EDS {
		if r := s.Endpoints[cmp.Or(cfg.EDSKey, cfg.EDSName, cfg.Name)]; r != nil {
			return r.Version
		}
	}
	return ""
}

func assignmentOf(s *config.Snapshot, cfg *cluster.Cluster) *cluster.Assignment {
	if cfg.Type != cluster.EDS {
		return cfg.Assignment
	}
	return s.Assignment(cmp.Or(cfg.EDSKey, cfg.EDSName, cfg.Name))
}
