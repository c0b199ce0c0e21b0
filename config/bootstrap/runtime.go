package bootstrap

import (
	"path/filepath"
	"strconv"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"

	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/runtime"
)

// A RuntimeLayer is one layer of layered_runtime. One of Static, Disk, Admin and RTDS is set.
type RuntimeLayer struct {
	Name string
	// Static has the values of a layer of the bootstrap itself.
	Static *runtime.Layer
	// Disk is a folder with a file for each value.
	Disk *Disk
	// Admin is the layer that POST /runtime_modify changes.
	Admin bool
	// RTDS is the layer that a control plane gives.
	RTDS *extension.Ref
}

// Disk is a disk_layer.
type Disk struct {
	// Dir is the folder: symlink_root, subdirectory and, if append_service_cluster is set, the name of the service cluster.
	Dir string
	// Root is symlink_root, a link that is swapped when values change.
	Root string
}

// runtime reads layered_runtime. One without layers has an admin layer, as in Envoy.
func (d *decoder) runtime() (out []RuntimeLayer) {
	if d.m.GetLayeredRuntime() == nil {
		return nil
	}
	layers := d.m.GetLayeredRuntime().GetLayers()
	if len(layers) == 0 {
		return []RuntimeLayer{{Admin: true}}
	}
	first, admin := make(map[string]int, len(layers)), -1
	for i, m := range layers {
		path := layerPath(i)
		if at, dup := first[m.GetName()]; dup {
			d.fail(path+".name", "layer %q is defined twice, first at layers[%d]", m.GetName(), at)
		}
		first[m.GetName()] = i
		l := RuntimeLayer{Name: m.GetName()}
		switch k := m.GetLayerSpecifier().(type) {
		case *bootstrapv3.RuntimeLayer_StaticLayer:
			path += ".static_layer"
			values, err := runtime.Flatten(k.StaticLayer)
			for _, e := range fielderr.All(err) {
				d.fail(path+e.Path, "%w", e.Err)
			}
			for _, key := range runtime.Unread(values) {
				d.fail(path+runtime.Path(k.StaticLayer, key.Name), "runtime key %q is not supported: %s", key.Name, key.Why)
			}
			l.Static = &runtime.Layer{Name: l.Name, Values: values}
		case *bootstrapv3.RuntimeLayer_DiskLayer_:
			l.Disk = d.disk(path+".disk_layer", k.DiskLayer)
		case *bootstrapv3.RuntimeLayer_AdminLayer_:
			if l.Admin = true; admin >= 0 {
				d.fail(path+".admin_layer", "there is an admin layer already, layers[%d]", admin)
			}
			admin = i
		case *bootstrapv3.RuntimeLayer_RtdsLayer_:
			l.RTDS = d.rtds(path+".rtds_layer", k.RtdsLayer)
		default:
			continue // PGV says so
		}
		out = append(out, l)
	}
	return out
}

func layerPath(i int) string { return "layered_runtime.layers[" + strconv.Itoa(i) + "]" }

func (d *decoder) disk(path string, m *bootstrapv3.RuntimeLayer_DiskLayer) *Disk {
	if m.GetSymlinkRoot() == "" {
		d.fail(path+".symlink_root", "unset")
	}
	dir := filepath.Join(m.GetSymlinkRoot(), m.GetSubdirectory())
	if m.GetAppendServiceCluster() {
		if d.m.GetNode().GetCluster() == "" {
			d.fail(path+".append_service_cluster", "node.cluster is empty: there is nothing to append")
		}
		dir = filepath.Join(dir, d.m.GetNode().GetCluster())
	}
	return &Disk{Dir: dir, Root: m.GetSymlinkRoot()}
}

// rtds says where a layer of a control plane comes from.
func (d *decoder) rtds(path string, m *bootstrapv3.RuntimeLayer_RtdsLayer) *extension.Ref {
	if m.GetName() == "" {
		d.fail(path+".name", "unset: it is the name of the resource that is asked for")
	}
	var l fielderr.List
	at := path + ".rtds_config"
	src := core.DecodeSource(&l, at, m.GetRtdsConfig())
	if m.GetRtdsConfig().GetApiConfigSource() == nil {
		for _, e := range fielderr.All(l.Err()) {
			d.fail(e.Path, "%w", e.Err)
		}
	} // else told by source, with the clusters that are not there
	d.source(at, m.GetRtdsConfig())
	return &extension.Ref{TypeURL: runtime.TypeURL, Name: m.GetName(), Source: src}
}
