package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/weirproxy/weir/config/cluster"
	"github.com/weirproxy/weir/config/core"
	"github.com/weirproxy/weir/proxy/upstream"
	"github.com/weirproxy/weir/xds"
)

// reach is how control planes are reached: through the data plane's own clusters,
// with their endpoints, TLS and statistics, or, for google_grpc, by gRPC's means.
type reach struct {
	static  map[string]*cluster.Cluster // of the bootstrap: others may need the control plane themselves
	serving *upstream.Manager
	mark    uint32 // of sockets that no cluster opens; 0 is none
}

// single makes the source of one type.
func (r *reach) single(name string, a *core.API, t xds.SourceType) (xds.Remote, error) {
	if a.REST {
		p, err := r.poll(name, a)
		if err != nil {
			return nil, err
		}
		p.Type = t
		return p, nil
	}
	s, err := r.stream(name, a)
	if err != nil {
		return nil, err
	}
	s.Single, s.Types = true, []xds.SourceType{t}
	return s, nil
}

// remote makes a source whose type the client knows.
func (r *reach) remote(name string, a *core.API) (xds.Remote, error) {
	return r.single(name, a, xds.SourceType{})
}

// poll makes a REST source.
func (r *reach) poll(name string, a *core.API) (*xds.REST, error) {
	p := &xds.REST{Name: name, Refresh: a.Refresh, Timeout: a.RequestTimeout}
	for _, c := range a.Clusters {
		s, alpn := xds.Service{Name: c}, "http/1.1"
		if k := r.static[c]; k != nil && k.HTTP.Protocol == cluster.HTTP2 {
			s.HTTP2, alpn = true, "h2"
		}
		var err error
		if s.Dial, err = r.dialer(c, alpn); err != nil {
			return nil, err
		}
		p.Services = append(p.Services, s)
	}
	return p, nil
}

// stream makes a stream.
func (r *reach) stream(name string, a *core.API) (*xds.ADS, error) {
	ads := &xds.ADS{Name: name, Delta: a.Delta, NodeAlways: a.NodeAlways}
	if a.Rate != nil {
		ads.Rate = xds.Rate(*a.Rate)
	}
	for i := range a.Services {
		svc := &a.Services[i]
		s := xds.Service{Name: svc.Name(), Authority: svc.Authority, Metadata: svc.Metadata, MaxMessage: int(svc.MaxMessage)}
		var err error
		if svc.Google != nil {
			err = r.google(&s, svc.Google)
		} else {
			s.Dial, err = r.dialer(svc.Cluster, "h2")
		}
		if err != nil {
			return nil, fmt.Errorf("grpc_services[%d]: %w", i, err)
		}
		if ads.RetryBase == 0 {
			ads.RetryBase, ads.RetryMax = svc.RetryBase, svc.RetryMax
		}
		ads.Services = append(ads.Services, s)
	}
	return ads, nil
}

// dialer opens connections to the hosts of a cluster. It has to serve already: a
// cluster waits for its own secrets.
func (r *reach) dialer(name, alpn string) (func(context.Context) (net.Conn, error), error) {
	if r.static[name] == nil {
		return nil, fmt.Errorf("cluster %q is not in the bootstrap", name)
	}
	return func(ctx context.Context) (net.Conn, error) {
		c, ok := r.serving.Get(name)
		if !ok {
			return nil, fmt.Errorf("cluster %q does not serve yet", name)
		}
		return c.Dial(ctx, []string{alpn})
	}, nil
}

// google makes the service of a google_grpc.
func (r *reach) google(s *xds.Service, g *core.Google) error {
	s.Target = g.Target
	if r.mark != 0 {
		s.DialContext = marked(r.mark)
	}
	if g.Token != "" {
		s.Metadata = append(s.Metadata, "authorization", "Bearer "+g.Token)
	}
	if g.TLS == nil {
		return nil
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(g.TLS.Roots) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(g.TLS.Roots) {
			return errors.New("google_grpc.channel_credentials.ssl_credentials.root_certs: no certificate in it")
		}
	}
	if len(g.TLS.Cert) > 0 {
		cert, err := tls.X509KeyPair(g.TLS.Cert, g.TLS.Key)
		if err != nil {
			return fmt.Errorf("google_grpc.channel_credentials.ssl_credentials: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	}
	s.TLS = conf
	return nil
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
