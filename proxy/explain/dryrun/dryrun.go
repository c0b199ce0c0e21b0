// Package dryrun says what a configuration would change before it is pushed: which resources are added, changed and removed, which
// would be rejected and why, and which of the latest requests would go elsewhere, or nowhere. It decides by the functions of the data
// path, under the configuration in force and under the other one, for the same input.
package dryrun

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/proxy/flows"
)

// Decode turns one resource into the model.
type Decode func(typeURL string, a *anypb.Any, static bool) (*config.Resource, error)

// A Proposal is the resources that would be pushed. Of listeners and clusters, when there are any, it is all there are to be; of the
// other types those that it has.
type Proposal struct {
	Resources []*anypb.Any
	Static    bool // they are those of a bootstrap, not of a control plane
}

// A Report is what would become of a proposal.
type Report struct {
	Changes  []Change    `json:"changes"`
	Rejected []Rejection `json:"rejected"`
	Looked   int         `json:"requests"` // that were asked about
	Moved    []Move      `json:"moved"`    // go elsewhere
	Lost     []Move      `json:"lost"`     // go nowhere, and do today
}

// Breaks tells whether a push would do harm: something is rejected, or requests lose their route.
func (r *Report) Breaks() bool { return len(r.Rejected) > 0 || len(r.Lost) > 0 }

// A Change is what becomes of one resource.
type Change struct {
	Kind   string   `json:"kind"` // "cluster"
	Name   string   `json:"name"`
	What   string   `json:"change"`           // added, changed, removed
	Fields []string `json:"fields,omitempty"` // what of a changed one is different, by path
}

// A Rejection is a resource that would be refused; the version in force would stay.
type Rejection struct {
	Kind   string   `json:"kind"`
	Name   string   `json:"name"`
	Errors []string `json:"errors"` // each begins with its field path, if it has one
}

// A Move is requests that go the same way today and another one then.
type Move struct {
	Example flows.Request `json:"example"` // the latest
	Count   int           `json:"count"`
	Was     Way           `json:"was"`
	Now     Way           `json:"now"`
}

// Run judges a proposal.
func Run(now *config.Snapshot, p Proposal, decode Decode, sample []flows.Request) *Report {
	r := &Report{Changes: []Change{}, Rejected: []Rejection{}, Moved: []Move{}, Lost: []Move{}, Looked: len(sample)}
	then := r.propose(now, p, decode)
	type key struct{ was, now Way }
	moves := map[key]*Move{}
	var order []*Move
	today, after := NewDecider(now), NewDecider(then)
	for _, q := range sample {
		k := key{today.Decide(&q), after.Decide(&q)}
		if k.was.same(k.now) || k.was.Lost != "" {
			continue
		}
		m := moves[k]
		if m == nil {
			m = &Move{Example: q, Was: k.was, Now: k.now}
			moves[k], order = m, append(order, m)
		}
		m.Count++
	}
	for _, m := range order {
		if m.Now.Lost != "" {
			r.Lost = append(r.Lost, *m)
		} else {
			r.Moved = append(r.Moved, *m)
		}
	}
	return r
}

// propose gives the snapshot that the proposal would make, and notes how it differs.
func (r *Report) propose(now *config.Snapshot, p Proposal, decode Decode) *config.Snapshot {
	then := *now
	byType := map[string][]*anypb.Any{}
	for _, a := range p.Resources {
		byType[a.GetTypeUrl()] = append(byType[a.GetTypeUrl()], a)
	}
	for _, t := range config.Types() {
		all, m := byType[t.TypeURL], then.Of(t.TypeURL)
		delete(byType, t.TypeURL)
		if len(all) == 0 || m == nil {
			continue
		}
		old := *m
		*m = maps.Clone(old)
		if *m == nil {
			*m = map[string]*config.Resource{}
		}
		seen, own := map[string]bool{}, ofOwnSources(old)
		for _, a := range all {
			r.one(t, old, *m, own, seen, a, p.Static, decode)
		}
		if !t.FullState {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(old)) {
			if o := old[name]; !seen[name] && o.Static == p.Static {
				delete(*m, name)
				r.Changes = append(r.Changes, Change{Kind: t.Kind, Name: name, What: "removed"})
			}
		}
	}
	for _, url := range slices.Sorted(maps.Keys(byType)) {
		r.Rejected = append(r.Rejected, Rejection{Kind: url, Errors: []string{"this type is not served"}})
	}
	slices.SortStableFunc(r.Changes, func(a, b Change) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name)) })
	return &then
}

// one judges one resource.
func (r *Report) one(
	t config.ResourceType, old, next map[string]*config.Resource, own map[string]string, seen map[string]bool, a *anypb.Any, static bool, decode Decode,
) {
	res, err := decode(t.TypeURL, a, static)
	name := nameOf(a)
	if res != nil {
		name = res.Name
	}
	key := cmp.Or(own[name], name)
	was := old[key]
	switch {
	case err != nil:
	case seen[name]:
		err = fmt.Errorf("listed twice")
	case was != nil && was.Static && !static:
		err = fmt.Errorf("a static %s has this name", t.Kind)
	}
	seen[name] = true
	switch {
	case err != nil:
		j := Rejection{Kind: t.Kind, Name: name}
		for _, line := range strings.Split(err.Error(), "\n") {
			j.Errors = append(j.Errors, strings.TrimPrefix(strings.TrimPrefix(line, fmt.Sprintf("%s %q: ", t.Kind, name)), ": "))
		}
		r.Rejected = append(r.Rejected, j)
	case was == nil:
		next[key] = res
		r.Changes = append(r.Changes, Change{Kind: t.Kind, Name: name, What: "added"})
	case !config.Unchanged(was, a):
		if fields := Differences(was.Raw, a); len(fields) > 0 {
			next[key] = res
			r.Changes = append(r.Changes, Change{Kind: t.Kind, Name: name, What: "changed", Fields: fields})
		}
	}
}

// ofOwnSources gives the keys of resources that are known by their name and their source (extension.Ref.Key), by name; a resource of
// the same name from where all of the type come from goes first.
func ofOwnSources(all map[string]*config.Resource) map[string]string {
	out := map[string]string{}
	for key, r := range all {
		if key != r.Name && all[r.Name] == nil {
			out[r.Name] = key
		}
	}
	return out
}

// nameOf is a resource's name when it is not decoded.
func nameOf(a *anypb.Any) string {
	m, err := a.UnmarshalNew()
	if err != nil {
		return ""
	}
	fields := m.ProtoReflect().Descriptor().Fields()
	fd := fields.ByName("name")
	if fd == nil {
		fd = fields.ByName("cluster_name")
	}
	if fd == nil {
		return ""
	}
	return m.ProtoReflect().Get(fd).String()
}
