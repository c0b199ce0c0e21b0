// Package lastgood keeps the configuration that was in force last in a file, so that a process can start while no control
// plane answers.
//
//  1. A [Keeper] is offered every snapshot that was applied, and writes the newest a moment later: to a new file that takes the
//     place of the old one, so that there is always a whole one.
//  2. A [Store] knows where the file is and who may use it: another node, cluster or control plane makes it foreign.
//  3. The file (file.go) has a version, a checksum, and the resources as they were received, by type and with their versions.
//
// Without a key, nothing secret is in the file: secrets, and resources that hold private keys, passwords or tokens themselves,
// are left out by name. With a key, they are in it, and all of it is encrypted.
package lastgood

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weirproxy/weir/config"
	"google.golang.org/protobuf/types/known/anypb"
)

// VersionPrefix is before the version of resources that came from the file, wherever versions are shown.
const VersionPrefix = "last-known-good/"

// A State is what a file holds.
type State struct {
	Saved   time.Time // when it was written
	Owner   Owner
	Types   []Type   // in the order of config.Types
	LeftOut []string // resources that are not in it because they hold secrets: `secret "a"`, sorted
}

// Owner says whose configuration it is.
type Owner struct {
	Node    string `json:"node"`           // node.id
	Cluster string `json:"cluster"`        // node.cluster
	Source  string `json:"control_planes"` // a hash of where the bootstrap says that configuration comes from
}

// A Type is the resources of one type.
type Type struct {
	TypeURL   string
	Resources []Resource // by name
}

// A Resource is one resource as it was received.
type Resource struct {
	Name    string
	Key     string // by which snapshots have it, when that is not its name: its reference names a source of its own
	Version string
	Any     *anypb.Any
}

// Count is the number of resources.
func (s *State) Count() (n int) {
	for _, t := range s.Types {
		n += len(t.Resources)
	}
	return n
}

// Of gives what of a snapshot came from a control plane, without what secret says is one; nil says that nothing is.
func Of(s *config.Snapshot, secret func(*config.Resource) bool) *State {
	out := &State{}
	for _, m := range s.All() {
		var t Type
		for key, r := range m {
			if r.Static || r.Raw == nil {
				continue
			}
			t.TypeURL = r.Raw.GetTypeUrl()
			if secret != nil && secret(r) {
				out.LeftOut = append(out.LeftOut, word(t.TypeURL)+` "`+r.Name+`"`)
				continue
			}
			t.Resources = append(t.Resources, keyed(key, r))
		}
		if len(t.Resources) > 0 {
			slices.SortFunc(t.Resources, func(a, b Resource) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Key, b.Key)) })
			out.Types = append(out.Types, t)
		}
	}
	slices.Sort(out.LeftOut)
	return out
}

func keyed(key string, r *config.Resource) Resource {
	out := Resource{Name: r.Name, Version: strings.TrimPrefix(r.Version, VersionPrefix), Any: r.Raw}
	if key != r.Name {
		out.Key = key
	}
	return out
}

// word is what people call a resource of a type.
func word(url string) string {
	if t, ok := config.TypeOf(url); ok {
		return t.Kind
	}
	return url
}
