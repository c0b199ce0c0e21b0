package discovery

import (
	"context"
	"net"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/weirproxy/weir/xds/server"
)

// plane is the control plane: that of `weir xds serve`, which is go-control-plane's.
type plane struct {
	w    *world
	srv  *server.Server
	addr string

	// guarded by w.mu
	answers []server.Answer
	types   []string
}

func newPlane(w *world) *plane {
	p := &plane{w: w}
	var err error
	p.srv, err = server.New("", server.Options{AllowInconsistent: true, OnAnswer: func(a server.Answer) {
		w.note(func() { p.answers = append(p.answers, a) })
	}})
	w.must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	w.must(err)
	p.addr = l.Addr().String()
	w.background(func(ctx context.Context) { _ = p.srv.Serve(ctx, l) })
	return p
}

// set serves resources in the place of those before.
func (p *plane) set(ms ...proto.Message) {
	p.w.t.Helper()
	p.w.must(p.srv.SetResources(ms...))
	p.w.note(func() {
		p.types = p.types[:0]
		for _, m := range ms {
			if u := "type.googleapis.com/" + string(m.ProtoReflect().Descriptor().FullName()); !slices.Contains(p.types, u) {
				p.types = append(p.types, u)
			}
		}
	})
}

// settled says that every type that is served was answered for, in the version that is served.
func (p *plane) settled() bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	for _, u := range p.types {
		v := p.srv.Version(u)
		if !slices.ContainsFunc(p.answers, func(a server.Answer) bool { return a.TypeURL == u && a.Version == v }) {
			return false
		}
	}
	return true
}

// refused gives the text of the NACKs that have it.
func (p *plane) refused(text string) bool {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return slices.ContainsFunc(p.answers, func(a server.Answer) bool { return strings.Contains(a.Err, text) })
}
