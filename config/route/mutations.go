package route

import (
	"github.com/weirproxy/weir/proxy/header"
)

// Mutations are the header changes of one level: fields to remove, then fields
// to add. It is immutable; nil changes nothing.
type Mutations struct {
	Remove []header.Name
	Add    []HeaderAdd
}

// A HeaderAdd is one field of …_headers_to_add.
type HeaderAdd struct {
	Name      header.Name
	Value     Format
	Action    AppendAction
	KeepEmpty bool // otherwise a field whose value turns out empty is left out
}

// AppendAction says what becomes of a field that is there already.
type AppendAction uint8

// The append actions (Envoy: HeaderValueOption.HeaderAppendAction).
const (
	AppendIfExistsOrAdd AppendAction = iota
	AddIfAbsent
	OverwriteIfExistsOrAdd
	OverwriteIfExists
)

// Apply changes the fields: it removes, then makes every value from the fields
// as they are then, then overwrites, then adds (Envoy: HeaderParser).
func (m *Mutations) Apply(h *header.Headers, v *Vars) {
	if m == nil {
		return
	}
	for _, n := range m.Remove {
		h.Del(n)
	}
	if len(m.Add) == 0 {
		return
	}
	// Values are made in memory on the stack; span i is that of Add[i].
	var room [512]byte
	var spanRoom [16]span
	buf, spans := room[:0], spanRoom[:0]
	for i := range m.Add {
		a := &m.Add[i]
		s := span{skip: true}
		if a.Action == AppendIfExistsOrAdd || a.Action == OverwriteIfExistsOrAdd ||
			h.Has(a.Name) == (a.Action == OverwriteIfExists) {
			from := len(buf)
			buf = a.Value.Append(buf, v)
			s = span{from, len(buf), len(buf) == from && !a.KeepEmpty}
		}
		spans = append(spans, s)
	}
	for i := range m.Add {
		a, s := &m.Add[i], spans[i]
		if !s.skip && (a.Action == OverwriteIfExistsOrAdd || a.Action == OverwriteIfExists) {
			h.Set(a.Name, buf[s.from:s.to])
		}
	}
	for i := range m.Add {
		a, s := &m.Add[i], spans[i]
		if !s.skip && (a.Action == AppendIfExistsOrAdd || a.Action == AddIfAbsent) {
			h.Add(a.Name, buf[s.from:s.to])
		}
	}
}

type span struct {
	from, to int
	skip     bool
}

// MutateRequest applies every level's changes to the request that goes upstream,
// in the configured order; w is the share that percentage routing picked, or nil.
func (r *Route) MutateRequest(w *ClusterWeight, h *header.Headers, v *Vars) {
	var own *Mutations
	if w != nil {
		own = w.RequestMutations
	}
	r.mutate(own, r.RequestMutations, h, v)
}

// MutateResponse applies every level's changes to the response that goes
// downstream.
func (r *Route) MutateResponse(w *ClusterWeight, h *header.Headers, v *Vars) {
	var own *Mutations
	if w != nil {
		own = w.ResponseMutations
	}
	r.mutate(own, r.ResponseMutations, h, v)
}

func (r *Route) mutate(own *Mutations, l []*Mutations, h *header.Headers, v *Vars) {
	if !r.specificLast {
		own.Apply(h, v)
	}
	for _, m := range l {
		m.Apply(h, v)
	}
	if r.specificLast {
		own.Apply(h, v)
	}
}
