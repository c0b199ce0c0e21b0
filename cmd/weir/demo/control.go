package demo

import (
	"bytes"
	"context"
	_ "embed" // the configuration is part of the program
	"errors"
	"fmt"
	"net/netip"
	"text/template"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/yamlproto"
	"github.com/weirproxy/weir/xds/server"
)

var (
	//go:embed bootstrap.yaml
	bootstrap string
	//go:embed resources.yaml
	resources string
)

// shares are what a push changes.
type shares struct {
	V1, V2  int
	Breaker bool
	Server  netip.Addr
}

// control is the embedded control plane and what Weir answers it.
type control struct {
	s       *server.Server
	server  netip.Addr
	answers chan server.Answer
}

// answered passes answers on; nobody waits for most of them.
func (c *control) answered(a server.Answer) {
	select {
	case c.answers <- a:
	default:
	}
}

// set pushes a configuration.
func (c *control) set(v shares) error {
	v.Server = c.server
	var b bytes.Buffer
	if err := template.Must(template.New("resources").Parse(resources)).Execute(&b, v); err != nil {
		return err
	}
	rs, err := yamlproto.UnmarshalResources(b.Bytes(), yamlproto.Options{File: "resources.yaml"})
	if err != nil {
		return err
	}
	ms := make([]proto.Message, len(rs))
	for i, r := range rs {
		if ms[i], err = r.Any.UnmarshalNew(); err != nil {
			return err
		}
	}
	return c.s.SetResources(ms...)
}

// push pushes a configuration and waits until Weir has accepted it.
func (c *control) push(ctx context.Context, typeURL string, v shares) error {
	for len(c.answers) > 0 {
		<-c.answers
	}
	if err := c.set(v); err != nil {
		return err
	}
	want := c.s.Version(typeURL)
	for {
		select {
		case a := <-c.answers:
			switch {
			case a.Err != "":
				return fmt.Errorf("refused: %s", a.Err)
			case a.TypeURL == typeURL && a.Version == want:
				return nil
			}
		case <-ctx.Done():
			return errors.New("no answer to the push")
		}
	}
}

const (
	routesURL   = config.RouteURL
	clustersURL = config.ClusterURL
)
