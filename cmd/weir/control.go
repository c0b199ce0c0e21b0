package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/bootstrap"
	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/config/support"
	"github.com/weirproxy/weir/xds"
)

// client makes the xDS client: static resources enter by the same door as those
// of a control plane.
func (l *loaded) client(o *flags, opts xds.Options, mark uint32) (*xds.Client, error) {
	mode := support.Degrade
	if o.rejectUnknownDynamic {
		mode = support.Strict
	}
	dec := &config.Decoder{Registry: l.registry, Mode: mode, Secrets: secretNames(l.boot)}
	opts.Node, opts.Static = l.boot.Node, l.static
	opts.Decode = func(typeURL string, a *anypb.Any) (*config.Resource, error) { return dec.Decode(typeURL, a, false) }
	opts.Open = func(src extension.Source) (*xds.ADS, error) { return l.secretStream(src, mark) }
	if err := l.sources(&opts, mark); err != nil {
		return nil, err
	}
	return xds.New(opts), nil
}

// sources says where each type of resource comes from. Listeners and clusters come
// from where lds_config and cds_config say, if these are there; what they refer to
// comes from the aggregated stream.
func (l *loaded) sources(opts *xds.Options, mark uint32) error {
	b := l.boot
	aggregated := []xds.SourceType{{TypeURL: config.SecretURL}, {TypeURL: config.AssignmentURL}, {TypeURL: config.RouteURL}}
	for _, f := range []struct {
		field, url string
		s          *bootstrap.Source
	}{{"cds_config", config.ClusterURL, b.CDS}, {"lds_config", config.ListenerURL, b.LDS}} {
		if f.s == nil {
			if f.url == config.ClusterURL { // by name, when a request asks for one
				aggregated = append(aggregated, xds.SourceType{TypeURL: f.url, OnDemand: true})
			}
			continue
		}
		t := xds.SourceType{TypeURL: f.url, FetchTimeout: fetchTimeout(f.s)}
		switch f.s.Kind {
		case bootstrap.Path:
			opts.Files = append(opts.Files, xds.File{Path: f.s.Path, Watch: f.s.Watch, Type: t})
		case bootstrap.Aggregated:
			aggregated = append(aggregated, t)
		case bootstrap.GRPC:
			a, err := l.stream(f.s, mark)
			if err != nil {
				return fmt.Errorf("dynamic_resources.%s: %w", f.field, err)
			}
			a.Name, a.Single, a.Types = strings.TrimSuffix(f.field, "_config"), true, []xds.SourceType{t}
			opts.Streams = append(opts.Streams, a)
		}
	}
	if b.ADS == nil {
		return nil
	}
	a, err := l.stream(b.ADS, mark)
	if err != nil {
		return fmt.Errorf("dynamic_resources.ads_config: %w", err)
	}
	a.Name, a.Types = "ads", aggregated
	opts.ADS = a
	return nil
}

// secretStream is a stream to where references to secrets say that they come from.
func (l *loaded) secretStream(src extension.Source, mark uint32) (*xds.ADS, error) {
	svc := bootstrap.Service{Cluster: src.Cluster, Authority: src.Authority}
	for kv := strings.Split(src.Metadata, "\x00"); len(kv) > 2; kv = kv[2:] {
		svc.Metadata = append(svc.Metadata, bootstrap.Header{Name: kv[0], Value: kv[1]})
	}
	s := &bootstrap.Source{Services: []bootstrap.Service{svc}, Delta: src.Delta, NodeOnFirstOnly: !src.NodeAlways}
	return l.stream(s, mark)
}

// stream is a stream to a control plane.
func (l *loaded) stream(s *bootstrap.Source, mark uint32) (*xds.ADS, error) {
	a := &xds.ADS{Delta: s.Delta, NodeAlways: !s.NodeOnFirstOnly}
	if mark != 0 {
		a.DialContext = marked(mark)
	}
	for _, svc := range s.Services {
		c := l.clusters[svc.Cluster]
		if c == nil || c.Assignment == nil {
			return nil, fmt.Errorf("cluster %q is not in the bootstrap, or has no static endpoints", svc.Cluster)
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

// marked opens sockets that carry our own mark, so that interception leaves them
// alone. A unix socket needs none.
func marked(mark uint32) func(context.Context, string) (net.Conn, error) {
	d := &net.Dialer{Control: func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var err error
		cerr := c.Control(func(fd uintptr) {
			err = os.NewSyscallError("setsockopt SO_MARK", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, int(mark)))
		})
		return errors.Join(cerr, err)
	}}
	return func(ctx context.Context, addr string) (net.Conn, error) {
		if path, ok := strings.CutPrefix(addr, "unix:"); ok { // gRPC writes unix:///path
			return d.DialContext(ctx, "unix", strings.TrimPrefix(path, "//"))
		}
		return d.DialContext(ctx, "tcp", addr)
	}
}

// controlPlanes are the addresses of all control planes.
func (l *loaded) controlPlanes() (out []string) {
	for _, s := range []*bootstrap.Source{l.boot.ADS, l.boot.LDS, l.boot.CDS} {
		if s == nil {
			continue
		}
		if a, err := l.stream(s, 0); err == nil {
			out = append(out, a.Targets...)
		}
	}
	return out
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
