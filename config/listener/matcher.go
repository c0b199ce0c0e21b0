package listener

import (
	"errors"
	"fmt"
	"sync"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/match/tree"
	"github.com/weirproxy/weir/proxy/info"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A matcher is a compiled Listener.filter_chain_matcher, which stands in place of the chains' own matches: a tree whose actions
// are the names of filter chains. What it does not match is the default filter chain's.
type matcher struct {
	chains *tree.Tree[*FilterChain]
	asked  sync.Pool // of *question, so that asking allocates nothing
}

// question is a connection as it is asked about: a copy of what the inputs read, for the rest of an info.Conn may change.
type question struct {
	in   tree.Input
	conn info.Conn
}

// find asks the tree; nil when no chain is matched.
func (m *matcher) find(c *info.Conn, tr *match.Trace) *FilterChain {
	q, _ := m.asked.Get().(*question)
	if q == nil {
		q = &question{}
	}
	q.conn = info.Conn{
		Source: c.Source, DirectSource: c.DirectSource, Dest: c.Dest, Local: c.Local,
		Transport: c.Transport, ServerName: c.ServerName, ALPN: c.ALPN, ECH: c.ECH, NameCheck: c.NameCheck,
	}
	q.in.Conn = &q.conn
	f, _ := m.chains.Match(&q.in, tr)
	q.conn = info.Conn{} // keeps nothing of the connection alive
	m.asked.Put(q)
	return f
}

// nearest says what the tree looked at last when it matches nothing.
func (m *matcher) nearest(c *info.Conn) (criterion, wanted, got string) {
	var tr match.Trace
	if m.find(c, &tr) != nil {
		return "", "", ""
	}
	got = "nothing that is asked for"
	for _, s := range tr.Steps {
		if !s.OK {
			got = s.Subject + " " + s.Why
		}
	}
	return "filter_chain_matcher", "a match", got
}

// decodeMatcher compiles filter_chain_matcher over the chains, by their names.
func decodeMatcher(l *fielderr.List, p *listenerv3.Listener, chains []*FilterChain) *matcher {
	const field = "filter_chain_matcher"
	named := map[string]*FilterChain{}
	for i, c := range p.GetFilterChains() {
		at := fielderr.Index("filter_chains", i)
		switch {
		case c.GetName() == "":
			l.Addf(at+".name", "empty: %s finds filter chains by name", field)
		case named[c.GetName()] != nil:
			l.Addf(at+".name", "%q is there already: %s finds filter chains by name", c.GetName(), field)
		default:
			named[c.GetName()] = chains[i]
		}
		if c.GetFilterChainMatch() != nil {
			l.Addf(at+".filter_chain_match", "has no effect beside %s", field)
		}
	}
	t, err := tree.Decode(p.GetFilterChainMatcher(), tree.Options{Inputs: tree.Connection},
		func(_ string, c *xdscorev3.TypedExtensionConfig) (*FilterChain, error) {
			f, err := chainNamed(named, c)
			var l fielderr.List
			l.Add("typed_config", err)
			return f, l.Err()
		})
	l.Add(field, err)
	return &matcher{chains: t}
}

// chainNamed reads an action: a google.protobuf.StringValue with the name of a filter chain.
func chainNamed(named map[string]*FilterChain, c *xdscorev3.TypedExtensionConfig) (*FilterChain, error) {
	a := c.GetTypedConfig()
	if a == nil {
		return nil, nil // an error already
	}
	s := &wrapperspb.StringValue{}
	if !a.MessageIs(s) {
		return nil, fmt.Errorf("unsupported action %s (supported: google.protobuf.StringValue, the name of a filter chain)", a.MessageName())
	}
	if err := a.UnmarshalTo(s); err != nil {
		return nil, errors.New("not a google.protobuf.StringValue")
	}
	f := named[s.Value]
	if f == nil {
		return nil, fmt.Errorf("no filter chain is named %q", s.Value)
	}
	return f, nil
}
