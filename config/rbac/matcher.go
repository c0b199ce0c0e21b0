package rbac

import (
	"fmt"
	"net/netip"
	"sync"

	xdscorev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/config/match/tree"
	"github.com/weirproxy/weir/config/yamlproto"
)

// matcher is a tree whose leaves are policies, each with an action of its own.
type matcher struct {
	tree    *tree.Tree[int] // the place of a policy
	actions []Action
	inputs  sync.Pool // of *tree.Input: they own the memory that values are put together in
}

// DecodeMatcher compiles a unified matcher whose actions are envoy.config.rbac.v3.Action.
// What it does not match is denied.
func DecodeMatcher(m *matcherv3.Matcher, s Scope) (*Engine, error) {
	o := tree.Options{Inputs: tree.Connection | tree.Certificate}
	if s == Requests {
		o.Inputs |= tree.Request
	}
	e := &Engine{matcher: &matcher{inputs: sync.Pool{New: func() any { return new(tree.Input) }}}}
	var err error
	e.matcher.tree, err = tree.Decode(m, o, func(_ string, c *xdscorev3.TypedExtensionConfig) (int, error) {
		if c.GetTypedConfig() == nil {
			return 0, nil // recorded by the tree
		}
		var l fielderr.List
		a, err := decodeAction(c.GetTypedConfig())
		l.Add("typed_config", err)
		action, err := newAction(a.GetAction())
		l.Add("typed_config.action", err)
		e.matcher.actions = append(e.matcher.actions, action)
		e.add(a.GetName())
		return len(e.names) - 1, l.Err()
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

func decodeAction(c *anypb.Any) (*rbacv3.Action, error) {
	m, err := yamlproto.Unpack(c, nil)
	if err == nil && yamlproto.IsTypedStruct(m) {
		m, err = yamlproto.FromTypedStruct(m, nil)
	}
	if err != nil {
		return nil, err
	}
	a, ok := m.(*rbacv3.Action)
	if !ok {
		return nil, fmt.Errorf("unsupported action %s (supported: envoy.config.rbac.v3.Action)", m.ProtoReflect().Descriptor().FullName())
	}
	return a, fielderr.Validate(a)
}

// judge asks the tree. What takes an input that is not there matches nothing, and is
// denied.
func (m *matcher) judge(in *Input, tr *match.Trace) Result {
	q := m.inputs.Get().(*tree.Input)
	q.Conn, q.Request, q.Source = in.Conn, in.Headers, in.source()
	i, ok := m.tree.Match(q, tr)
	q.Conn, q.Request = nil, nil
	m.inputs.Put(q)
	if !ok {
		return Result{Policy: -1}
	}
	return Result{Allowed: m.actions[i] != Deny, Policy: i}
}

// source is the address that source inputs look at: with a port only when it is that
// of the connection.
func (in *Input) source() netip.AddrPort {
	if !in.Client.IsValid() || in.Client == in.Conn.Source.Addr() {
		return in.Conn.Source
	}
	return netip.AddrPortFrom(in.Client, 0)
}
