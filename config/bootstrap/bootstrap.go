// Package bootstrap reads the bootstrap: Envoy's Bootstrap proto from a file (YAML, JSON, or a proto as text or bytes), with --config-yaml merged over it.
//
// Reading finds every mistake at once, each at its line: names and values (config/yamlproto), the protos' own constraints,
// fields that are not implemented (config/support), and what the parts of a bootstrap must say about each other.
package bootstrap

import (
	"errors"
	"fmt"
	"os"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config/protos"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
)

// Options say how strict the reading is.
type Options struct {
	// Mode judges fields that are set and not implemented. The zero Mode, Reject, is right for a file.
	Mode support.Mode
	// ServiceNode, ServiceCluster and ServiceZone fill node.id, node.cluster and node.locality.zone where the bootstrap leaves
	// them empty (Envoy: --service-node, --service-cluster, --service-zone).
	ServiceNode, ServiceCluster, ServiceZone string
}

// Bootstrap is what a process starts from. It is not changed after Load.
type Bootstrap struct {
	// Node identifies this process to control planes; never nil.
	Node *corev3.Node
	// Admin is where the admin interface listens; nil without one.
	Admin *Admin
	// Stats is how statistics are kept and shown.
	Stats Stats
	// Static has the resources that are in the bootstrap itself.
	Static Static
	// ADS is the aggregated stream; LDS and CDS are where listeners and clusters come from. Nil when not configured.
	ADS, LDS, CDS *Source
	// Runtime has the runtime layers, a later one over an earlier one.
	Runtime []RuntimeLayer
	// MaxConnections is how many downstream connections there may be at once; 0 is no limit (Envoy: the resource monitor
	// envoy.resource_monitors.global_downstream_max_connections).
	MaxConnections uint64
	// Findings are the fields that were accepted and are not implemented (empty in mode Reject).
	Findings []support.Finding
	// Proto is the merged message, for /config_dump.
	Proto *bootstrapv3.Bootstrap
	// Index has the positions of Proto.
	Index *yamlproto.Index
}

// Static has the resources of static_resources. The index of each points into the bootstrap's text; its errors carry the full
// path ("static_resources.listeners[0].filter_chains[1]").
type Static struct {
	Listeners, Clusters, Secrets []yamlproto.Resource
}

// overlayName is the file name in positions of --config-yaml.
const overlayName = "--config-yaml"

// Load reads the file at path and merges configYAML over it, as Envoy does (lists are appended, single values replaced). Either
// may be empty, not both. An error that is about the text is of type yamlproto.Errors.
func Load(path, configYAML string, o Options) (*Bootstrap, error) {
	if path == "" && configYAML == "" {
		return nil, errors.New("no configuration: give a file with -c, or --config-yaml")
	}
	var texts []text
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read bootstrap: %w", err)
		}
		texts = append(texts, text{path, data})
	}
	if configYAML != "" {
		texts = append(texts, text{overlayName, []byte(configYAML)})
	}
	return parse(texts, o)
}

type text struct {
	name string
	data []byte
}

// parse reads and merges the texts, later ones over earlier ones.
func parse(texts []text, o Options) (*Bootstrap, error) {
	if len(protos.Types()) == 0 { // links the types that Any may hold
		return nil, errors.New("no protos are linked")
	}
	m := &bootstrapv3.Bootstrap{}
	var x *yamlproto.Index
	var errs yamlproto.Errors
	for _, t := range texts {
		part := &bootstrapv3.Bootstrap{}
		px, err := t.read(part)
		var es yamlproto.Errors
		switch {
		case errors.As(err, &es):
			errs = append(errs, es...)
		case err != nil:
			return nil, fmt.Errorf("read bootstrap %s: %w", t.name, err)
		}
		proto.Merge(m, part)
		x = x.Merge(px)
	}
	if len(errs) > 0 {
		return nil, errs // a message that could be read in part only would look invalid for the wrong reasons
	}
	errs = x.Validate(m)
	found := support.Check(m, "bootstrap", o.Mode)
	errs = append(errs, support.Errors(found, x)...)
	b := &Bootstrap{Proto: m, Index: x}
	for _, f := range found {
		if !f.Rejects() {
			b.Findings = append(b.Findings, f)
		}
	}
	b.Node = node(m, o)
	d := &decoder{x: x, m: m, errs: errs}
	b.Admin = d.admin()
	b.Stats = d.stats()
	b.Static = d.static()
	b.Runtime = d.runtime()
	b.MaxConnections = d.maxConnections()
	b.ADS, b.LDS, b.CDS = d.sources()
	if len(d.errs) > 0 {
		return nil, d.errs.Sorted()
	}
	return b, nil
}

// node completes the node from the options; Envoy does so only where the bootstrap is silent.
func node(m *bootstrapv3.Bootstrap, o Options) *corev3.Node {
	if m.GetNode() == nil {
		m.Node = &corev3.Node{}
	}
	n := m.GetNode()
	if n.GetId() == "" {
		n.Id = o.ServiceNode
	}
	if n.GetCluster() == "" {
		n.Cluster = o.ServiceCluster
	}
	if o.ServiceZone != "" && n.GetLocality().GetZone() == "" {
		if n.GetLocality() == nil {
			n.Locality = &corev3.Locality{}
		}
		n.Locality.Zone = o.ServiceZone
	}
	return n
}

// decoder reads the parts of one bootstrap and gathers the mistakes.
type decoder struct {
	x    *yamlproto.Index
	m    *bootstrapv3.Bootstrap
	errs yamlproto.Errors
}

func (d *decoder) fail(path, format string, args ...any) {
	d.errs = append(d.errs, d.x.Wrap(path, fmt.Errorf(format, args...)))
}
