package server

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/weirproxy/weir/config/yamlproto"
	"google.golang.org/protobuf/proto"
)

// resourceSet is the resources of one moment, and where each was read.
type resourceSet struct {
	all   []entry
	index map[[2]string]int // type URL and name → place in all
}

type entry struct {
	typeURL string
	name    string
	m       proto.Message
	at      string // "file:line:column: ", or ""
}

func (e entry) String() string {
	short := e.typeURL[strings.LastIndexByte(e.typeURL, '.')+1:]
	return fmt.Sprintf("%s%s %q", e.at, short, e.name)
}

// add takes one resource in. x is nil for a resource that was not read from a file.
func (s *resourceSet) add(m proto.Message, x *yamlproto.Index) error {
	e := entry{typeURL: resource.APITypePrefix + string(m.ProtoReflect().Descriptor().FullName()), m: m, name: cache.GetResourceName(m)}
	if x != nil {
		if p, ok := x.At(""); ok {
			e.at = p.String() + ": "
		}
	}
	if cache.GetResponseType(e.typeURL) == types.UnknownType {
		return fmt.Errorf("%s%s is not a resource that discovery serves", e.at, m.ProtoReflect().Descriptor().FullName())
	}
	if e.name == "" {
		return fmt.Errorf("%s: name unset", e)
	}
	k := [2]string{e.typeURL, e.name}
	if s.index == nil {
		s.index = map[[2]string]int{}
	}
	if i, dup := s.index[k]; dup {
		return fmt.Errorf("%s is defined twice, first at %s", e, strings.TrimSuffix(s.all[i].at, ": "))
	}
	s.index[k] = len(s.all)
	s.all = append(s.all, e)
	return nil
}

// check looks for references to what the set lacks, and for resources that nothing refers to.
func (s *resourceSet) check() (problems []error, warnings []string) {
	used := map[[2]string]struct{}{}
	for _, e := range s.all {
		refs := cache.GetResourceReferences(map[string]types.ResourceWithTTL{e.name: {Resource: e.m}})
		if s := secretsOf(e.m); len(s) > 0 {
			refs[resource.SecretType] = s
		}
		for _, url := range slices.Sorted(maps.Keys(refs)) {
			for _, name := range slices.Sorted(maps.Keys(refs[url])) {
				k := [2]string{url, name}
				used[k] = struct{}{}
				if _, ok := s.index[k]; !ok {
					problems = append(problems, fmt.Errorf("%s refers to %s", e, missing(url, name)))
				}
			}
		}
	}
	for _, e := range s.all {
		if _, ok := used[[2]string{e.typeURL, e.name}]; !ok && onlyReferred(e.typeURL) {
			warnings = append(warnings, e.String()+" is served, but nothing in the set refers to it")
		}
	}
	return problems, warnings
}

// onlyReferred says that resources of a type serve nothing but what refers to them.
func onlyReferred(url resource.Type) bool {
	return url == resource.EndpointType || url == resource.RouteType || url == resource.SecretType
}

func missing(url, name string) string {
	return fmt.Sprintf("%s %q, which is not in the set", url[strings.LastIndexByte(url, '.')+1:], name)
}

// snapshot makes the cache's form of the set. Every type has a version, also an empty one: a client waits for the first answer.
func (s *resourceSet) snapshot() (*cache.Snapshot, error) {
	byType := map[string][]types.Resource{}
	for _, e := range s.all {
		byType[e.typeURL] = append(byType[e.typeURL], e.m)
	}
	out := &cache.Snapshot{}
	var errs []error
	for t := range types.UnknownType {
		url, err := cache.GetResponseTypeURL(t)
		if err != nil {
			continue
		}
		v, err := version(byType[url])
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out.Resources[t] = cache.NewResources(v, byType[url])
	}
	return out, errors.Join(errs...)
}

// version is a hash of content: it changes when a resource does, and not with the order of files.
func version(resources []types.Resource) (string, error) {
	sums := make([]string, 0, len(resources))
	for _, r := range resources {
		b, err := cache.MarshalResource(r)
		if err != nil {
			return "", fmt.Errorf("marshal %s: %w", cache.GetResourceName(r), err)
		}
		sum := sha256.Sum256(b)
		sums = append(sums, string(sum[:]))
	}
	slices.Sort(sums)
	h := sha256.New()
	for _, v := range sums {
		h.Write([]byte(v))
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil // 48 bits tell the versions of one folder apart
}

// equal says that two snapshots have the same content.
func equal(a, b *cache.Snapshot) bool {
	for t := range types.UnknownType {
		if a.Resources[t].Version != b.Resources[t].Version {
			return false
		}
	}
	return true
}

// order is make before break (Envoy: eventual consistency considerations). Other types come with the last stage.
var order = [...]types.ResponseType{types.Secret, types.Cluster, types.Endpoint, types.Listener, types.Route}

// stages gives the snapshots that lead from one to the next, one type after the other: the cache answers the watches of all types
// that changed in no order.
func stages(from, to *cache.Snapshot) []*cache.Snapshot {
	if from == nil {
		return []*cache.Snapshot{to}
	}
	var out []*cache.Snapshot
	cur := &cache.Snapshot{Resources: from.Resources}
	for _, t := range order {
		if cur.Resources[t].Version == to.Resources[t].Version {
			continue
		}
		next := &cache.Snapshot{Resources: cur.Resources}
		next.Resources[t] = to.Resources[t]
		cur = next
		out = append(out, cur)
	}
	return append(out, to)
}

// versions prints the versions of the types that have resources.
func versions(s *cache.Snapshot) string {
	var l []string
	for t := range types.UnknownType {
		if r := s.Resources[t]; len(r.Items) > 0 {
			url, _ := cache.GetResponseTypeURL(t)
			l = append(l, fmt.Sprintf("%s=%s(%d)", url[strings.LastIndexByte(url, '.')+1:], r.Version, len(r.Items)))
		}
	}
	return strings.Join(l, " ")
}
