// Package goldens holds what control planes send against what Weir takes: it reads the xDS resources that control planes' own
// tests expect of them ("golden" outputs), decodes each as one that came over a stream, and counts what was accepted, what was
// accepted without effect, and what was refused, by field path.
//
//  1. Read finds the resources of a folder: scenarios, each with all its resources.
//  2. Judge decodes a scenario with a config.Decoder in the mode of a control plane.
//  3. A Report adds verdicts up and prints the causes, the most frequent first.
package goldens

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/yamlproto"
	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// A Scenario is what one test of a control plane expects it to send.
type Scenario struct {
	Name      string
	Resources []*anypb.Any
	// Unread are the resources of which a part is of a type or has a field that this program has no proto of.
	Unread []error
}

// kinds are the files of Envoy Gateway's goldens, which say by their names which resources are in them.
var kinds = map[string]string{
	"listeners": config.ListenerURL, "routes": config.RouteURL, "clusters": config.ClusterURL, "endpoints": config.AssignmentURL,
	"secrets": config.SecretURL,
}

// Read finds the scenarios below a folder, sorted by name. Three layouts are known, and told apart by what is in the files:
// NAME.listeners.yaml and so on, lists of resources without "@type" (Envoy Gateway); resources with "@type" anywhere in a file
// (Kuma, configuration dumps); and lists of filters (Istio's authorisation policies), for which a listener is made. Other files
// are skipped.
func Read(fsys fs.FS) ([]Scenario, error) {
	found := make(map[string]*Scenario)
	real, err := newMaterial()
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(fsys, ".", func(file string, d fs.DirEntry, err error) error {
		ext := path.Ext(file)
		if err != nil || d.IsDir() || ext != ".yaml" && ext != ".json" {
			return err
		}
		data, err := fs.ReadFile(fsys, file)
		if err != nil {
			return err
		}
		nodes, ok := parse(data)
		if !ok {
			return nil // a template, or a test of bad YAML
		}
		name := strings.TrimSuffix(file, ext)
		url, split := kinds[strings.TrimPrefix(path.Ext(name), ".")]
		if split {
			name = strings.TrimSuffix(name, path.Ext(name))
		}
		s := found[name]
		if s == nil {
			s = &Scenario{Name: name}
		}
		for _, n := range nodes {
			real.fill(n)
			switch list := filters(n); {
			case list != nil:
				s.take(list, config.ListenerURL)
			case split && n.Kind == yaml.SequenceNode && !typed(n):
				for _, item := range n.Content {
					s.take(item, url)
				}
			default:
				s.find(n)
			}
		}
		if len(s.Resources)+len(s.Unread) > 0 {
			found[name] = s
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read golden files: %w", err)
	}
	out := make([]Scenario, 0, len(found))
	for _, name := range slices.Sorted(maps.Keys(found)) {
		out = append(out, *found[name])
	}
	return out, nil
}

// parse gives the documents of a file.
func parse(data []byte) (nodes []*yaml.Node, ok bool) {
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		n := &yaml.Node{}
		if err := dec.Decode(n); err != nil {
			return nodes, len(nodes) > 0 && err.Error() == "EOF"
		}
		nodes = append(nodes, n.Content...)
	}
}

// typed tells whether a list has resources that say their own type.
func typed(n *yaml.Node) bool {
	return len(n.Content) > 0 && (field(n.Content[0], "@type") != nil || field(n.Content[0], "resource") != nil)
}

// field gives the value of a mapping's key, or nil.
func field(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// find takes every resource below a node, however deep.
func (s *Scenario) find(n *yaml.Node) {
	if t := field(n, "@type"); t != nil {
		if _, ok := config.TypeOf(t.Value); ok {
			s.take(n, "")
			return
		}
	}
	for _, c := range n.Content {
		s.find(c)
	}
}

// take reads one resource; url is its type when it does not say so itself.
func (s *Scenario) take(n *yaml.Node, url string) {
	if url != "" {
		n.Content = append([]*yaml.Node{text("@type"), text(url)}, n.Content...)
	}
	data, err := yaml.Marshal(n)
	if err != nil {
		s.Unread = append(s.Unread, err)
		return
	}
	rs, err := yamlproto.UnmarshalResources(data, yamlproto.Options{})
	if err != nil {
		s.Unread = append(s.Unread, err)
		return
	}
	for _, r := range rs {
		s.Resources = append(s.Resources, r.Any)
	}
}

func text(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s} }
