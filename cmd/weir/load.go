package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/filters/builtin"
	"github.com/weirproxy/weir/proxy/upstream/lb"
	"github.com/weirproxy/weir/xds"
)

// loaded is a bootstrap whose static resources are decoded.
type loaded struct {
	boot     *bootstrap.Bootstrap
	registry *extension.Registry
	static   []*config.Resource
	clusters map[string]*cluster.Cluster
}

// load reads and decodes everything a process starts from; the error has every
// mistake, each at its line.
func load(o *flags) (*loaded, error) {
	b, err := bootstrap.Load(o.configPath, o.configYAML, bootstrap.Options{
		Mode: support.Reject, ServiceNode: o.serviceNode, ServiceCluster: o.serviceCluster, ServiceZone: o.serviceZone,
	})
	if err != nil {
		return nil, err
	}
	l := &loaded{boot: b, registry: extension.NewRegistry(builtin.Filters(), lb.Policies()), clusters: map[string]*cluster.Cluster{}}
	dec := &config.Decoder{Registry: l.registry, Mode: support.Reject, ControlPlane: controlPlaneClusters(b)}
	var errs yamlproto.Errors
	for _, group := range [][]yamlproto.Resource{b.Static.Clusters, b.Static.Listeners} {
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

// controlPlaneClusters names the clusters that only the xDS client uses.
func controlPlaneClusters(b *bootstrap.Bootstrap) (names []string) {
	if b.ADS != nil {
		for _, s := range b.ADS.Services {
			names = append(names, s.Cluster)
		}
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

// client makes the xDS client: static resources enter by the same door as those
// of a control plane.
func (l *loaded) client(o *flags, opts xds.Options, mark uint32) (*xds.Client, error) {
	mode := support.Degrade
	if o.rejectUnknownDynamic {
		mode = support.Strict
	}
	dec := &config.Decoder{Registry: l.registry, Mode: mode}
	opts.Node, opts.Static = l.boot.Node, l.static
	opts.Decode = func(typeURL string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(typeURL, a, false) }
	if s := l.boot.ADS; s != nil {
		ads, err := l.ads(s, mark)
		if err != nil {
			return nil, fmt.Errorf("dynamic_resources.ads_config: %w", err)
		}
		opts.ADS = ads
	}
	for _, f := range []struct {
		s   *bootstrap.Source
		url string
	}{{l.boot.CDS, config.ClusterURL}, {l.boot.LDS, config.ListenerURL}} {
		if f.s != nil && f.s.Kind == bootstrap.Path {
			opts.Files = append(opts.Files, xds.File{Path: f.s.Path, Type: xds.SourceType{TypeURL: f.url, FetchTimeout: fetchTimeout(f.s)}})
		}
	}
	return xds.New(opts), nil
}

// ads is the stream to the control plane; its sockets carry our own mark, so
// that interception leaves them alone.
func (l *loaded) ads(s *bootstrap.Source, mark uint32) (*xds.ADS, error) {
	a := &xds.ADS{Name: "ads", NodeAlways: !s.NodeOnFirstOnly}
	if mark != 0 {
		d := &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
			var err error
			cerr := c.Control(func(fd uintptr) {
				err = os.NewSyscallError("setsockopt SO_MARK", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
			})
			return errors.Join(cerr, err)
		}}
		a.DialContext = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	for _, svc := range s.Services {
		c := l.clusters[svc.Cluster]
		if c == nil || c.Assignment == nil {
			return nil, fmt.Errorf("cluster %q has no static endpoints", svc.Cluster)
		}
		for _, loc := range c.Assignment.Localities {
			for _, e := range loc.Endpoints {
				a.Targets = append(a.Targets, target(&e))
			}
		}
		a.Authority = svc.Authority
		for _, h := range svc.Metadata {
			a.Metadata = append(a.Metadata, h.Name, h.Value)
		}
	}
	return a, nil
}

// controlPlanes are the addresses of the ADS stream's servers.
func (l *loaded) controlPlanes() []string {
	if l.boot.ADS == nil {
		return nil
	}
	a, err := l.ads(l.boot.ADS, 0)
	if err != nil {
		return nil
	}
	return a.Targets
}

// fetchTimeout gives initial_fetch_timeout in the client's terms, where 0 is the
// default and negative is for ever.
func fetchTimeout(s *bootstrap.Source) time.Duration {
	if s.InitialFetchTimeout == 0 {
		return -1
	}
	return s.InitialFetchTimeout
}

func target(e *cluster.Endpoint) string {
	switch {
	case e.Pipe != "":
		return "unix:" + e.Pipe
	case e.Name != "":
		return net.JoinHostPort(e.Name, strconv.Itoa(int(e.Port)))
	}
	return e.Addr.String()
}
