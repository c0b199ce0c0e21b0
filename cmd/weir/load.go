package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/runtime"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/upstream/lb"
)

// loaded is a bootstrap whose static resources are decoded.
type loaded struct {
	boot     *bootstrap.Bootstrap
	registry *extension.Registry
	runtime  *runtime.Registry // whose keys the configuration reads
	unknown  []string          // of --disable-extensions
	static   []*config.Resource
	clusters map[string]*cluster.Cluster
}

// load reads and decodes everything a process starts from; the error has every
// mistake, each at its line.
func load(o *flags) (*loaded, error) {
	if o.configPath == "" && o.configYAML == "" {
		o.configPath = defaultPath()
	}
	mode := support.Reject
	if o.allowUnknown || o.allowUnknownOld {
		mode = support.Degrade
	}
	b, err := bootstrap.Load(o.configPath, o.configYAML, bootstrap.Options{
		Mode: mode, ServiceNode: o.serviceNode, ServiceCluster: o.serviceCluster, ServiceZone: o.serviceZone,
	})
	if err != nil {
		return nil, err
	}
	registry, unknown := o.registry()
	completeNode(b.Node, registry)
	l := &loaded{boot: b, registry: registry, runtime: runtime.NewRegistry(), unknown: unknown, clusters: map[string]*cluster.Cluster{}}
	dec := &config.Decoder{
		Registry: l.registry, Runtime: l.runtime, Mode: mode, LenientStatic: mode == support.Degrade, Secrets: secretNames(b),
	}
	var errs yamlproto.Errors
	for _, group := range [][]yamlproto.Resource{b.Static.Secrets, b.Static.Clusters, b.Static.Listeners} {
		for _, r := range group {
			res, err := dec.Decode(r.Any.TypeUrl, r.Any, true)
			if err != nil {
				errs = append(errs, positions(r.Index, err)...)
				continue
			}
			l.static = append(l.static, res)
			if c, ok := res.Value.(*cluster.Cluster); ok {
				l.clusters[c.Name] = c
			}
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return l, nil
}

// registry has the extensions that there are, less those that a flag takes away;
// unknown are those that it cannot.
func (o *flags) registry() (r *extension.Registry, unknown []string) {
	tables := [][]*extension.Factory{builtin.Filters(), lb.Policies()}
	if o.disabled != "" {
		tables, unknown = without(tables, strings.Split(o.disabled, ","))
	}
	return extension.NewRegistry(tables...), unknown
}

// The bootstrap when no flag names one.
const (
	rootPath        = "/etc/weir/weir.yaml"
	userPath        = "weir/config.yaml" // below $XDG_CONFIG_HOME, or ~/.config
	defaultPathText = rootPath + " for root, $XDG_CONFIG_HOME/" + userPath + " for others, if there is one"
)

// defaultPath gives that file, "" when there is none.
func defaultPath() string {
	path := rootPath
	if os.Getuid() != 0 {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		path = filepath.Join(dir, userPath)
	}
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// secretNames names the secrets of the bootstrap.
func secretNames(b *bootstrap.Bootstrap) (names []string) {
	for _, r := range b.Static.Secrets {
		names = append(names, r.Name)
	}
	return names
}

// positions gives every error of one resource its place in the file.
func positions(x *yamlproto.Index, err error) (out yamlproto.Errors) {
	var whole *config.Error
	if errors.As(err, &whole) {
		err = whole.Errs
	}
	for _, e := range fielderr.All(err) {
		out = append(out, x.Wrap(e.Path, e.Err))
	}
	return out
}
