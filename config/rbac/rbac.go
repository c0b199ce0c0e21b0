// Package rbac decides who may do what: the engine of
// envoy.config.rbac.v3.RBAC, compiled from its message and asked for each request
// or connection without allocating.
//
// What an engine cannot judge is refused with its path when it is decoded: a rule
// that is left out would open, or shut, a door.
package rbac

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"

	rbacv3 "github.com/envoyproxy/go-control-plane/envoy/config/rbac/v3"

	"github.com/weirproxy/weir/config/fielderr"
	"github.com/weirproxy/weir/config/match"
	"github.com/weirproxy/weir/proxy/header"
	"github.com/weirproxy/weir/proxy/info"
)

// Action is what a policy that matches stands for.
type Action uint8

// The actions (Envoy: RBAC.Action). Log allows everything; what it would tell access
// logs (access_log_hint) nobody reads.
const (
	Allow Action = iota
	Deny
	Log
)

// Scope says what an engine judges.
type Scope uint8

// The scopes. There is no request to look at when connections are judged.
const (
	Requests Scope = iota
	Connections
)

// An Input is what is judged: a request on a connection, or the connection alone.
type Input struct {
	Conn    *info.Conn
	Client  netip.Addr      // who asks, as far as known (x-forwarded-for); invalid is the connection's source
	Headers *header.Headers // of the request, pseudo-headers included; nil judges a connection
	Path    []byte          // of the request, with its query; empty when it has none
	scratch match.Scratch
}

// A Result is what an engine says.
type Result struct {
	Allowed bool
	Policy  int // the policy that matched, by its place in Engine.Policies; -1 for none
}

// An Engine is a compiled RBAC, whose policies are looked at in the order of their
// names until one matches, or a compiled matcher. It is immutable.
type Engine struct {
	action   Action
	policies []policy
	matcher  *matcher // instead of action and policies
	names    []string
	denied   []string // details of a refusal by each policy
}

// policy matches when one permission and one principal do.
type policy struct {
	permissions, principals []rule
}

// noPolicy are the details of a refusal because nothing matched.
const noPolicy = "rbac_access_denied_matched_policy[none]"

// Decode compiles an RBAC that was validated against the constraints of its proto.
func Decode(m *rbacv3.RBAC, s Scope) (*Engine, error) {
	var l fielderr.List
	e := &Engine{}
	var err error
	e.action, err = newAction(m.GetAction())
	l.Add("action", err)
	if m.GetAuditLoggingOptions() != nil {
		l.Addf("audit_logging_options", "unsupported: nothing is audited")
	}
	for _, name := range slices.Sorted(maps.Keys(m.GetPolicies())) {
		d := decoder{scope: s}
		e.policies = append(e.policies, d.policy(m.GetPolicies()[name]))
		l.Add(fielderr.Key("policies", name), d.errs.Err())
		e.add(name)
	}
	if err := l.Err(); err != nil {
		return nil, err
	}
	return e, nil
}

func newAction(a rbacv3.RBAC_Action) (Action, error) {
	switch a {
	case rbacv3.RBAC_ALLOW:
		return Allow, nil
	case rbacv3.RBAC_DENY:
		return Deny, nil
	case rbacv3.RBAC_LOG:
		return Log, nil
	}
	return Deny, fmt.Errorf("unknown: %d", a)
}

// add enters a policy's name.
func (e *Engine) add(name string) {
	e.names = append(e.names, name)
	e.denied = append(e.denied, "rbac_access_denied_matched_policy["+noSpace(name)+"]")
}

// Judge decides. With a trace it says why; the data path passes nil.
func (e *Engine) Judge(in *Input, tr *match.Trace) Result {
	if e.matcher != nil {
		return e.matcher.judge(in, tr)
	}
	r := Result{Policy: -1}
	for i := range e.policies {
		ok := e.policies[i].match(in, tr)
		if tr != nil {
			tr.Note(ok, "policy "+strconv.Quote(e.names[i]), "%s", matches(ok))
		}
		if ok {
			r.Policy = i
			break
		}
	}
	r.Allowed = e.action == Log || (r.Policy >= 0) == (e.action == Allow)
	return r
}

// Policies gives the names of the policies, in the order that a Result counts by. The slice is not to be changed.
func (e *Engine) Policies() []string { return e.names }

// Details gives the details of a refusal (Envoy: RESPONSE_CODE_DETAILS and
// CONNECTION_TERMINATION_DETAILS). White space in names becomes "_".
func (e *Engine) Details(r Result) string {
	if r.Policy < 0 {
		return noPolicy
	}
	return e.denied[r.Policy]
}

func (p *policy) match(in *Input, tr *match.Trace) bool {
	return anyOf(p.permissions, in, tr) && anyOf(p.principals, in, tr)
}

func noSpace(name string) string {
	b := []byte(name)
	for i, c := range b {
		if c == ' ' || '\t' <= c && c <= '\r' {
			b[i] = '_'
		}
	}
	return string(b)
}

func matches(ok bool) string {
	if ok {
		return "matches"
	}
	return "does not match"
}
