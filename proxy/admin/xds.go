package admin

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/xds"
)

// The JSON of /xds. Durations are in seconds, times in RFC 3339.
type (
	xdsStatus struct {
		Ready    bool         `json:"ready"`
		Snapshot uint64       `json:"snapshot"` // last published
		Applied  uint64       `json:"applied"`
		Error    string       `json:"apply_error,omitempty"`
		Degraded int          `json:"degraded_fields"`
		LastGood *xdsLastGood `json:"last_known_good,omitempty"` // there while something serves from it
		Sources  []xdsSource  `json:"sources"`
		Types    []xdsType    `json:"types"`
		Warming  []xdsWarming `json:"warming"`
	}
	xdsLastGood struct {
		Saved      time.Time `json:"saved"`
		For        float64   `json:"for_s"`                // since it serves
		Unanswered []string  `json:"unanswered,omitempty"` // types that no control plane has answered for
		Resources  int       `json:"resources"`            // that serve from it
		LeftOut    []string  `json:"left_out,omitempty"`   // secret, so not in it
	}
	xdsSource struct {
		Name      string  `json:"name"`
		File      bool    `json:"file"`
		Delta     bool    `json:"delta"`
		Server    string  `json:"server,omitempty"` // what the control plane calls itself
		Connected bool    `json:"connected"`
		For       float64 `json:"for_s"` // how long it is as it is
		Error     string  `json:"error,omitempty"`
		Failures  int     `json:"failures"` // since the last response
	}
	xdsType struct {
		TypeURL      string        `json:"type_url"`
		Short        string        `json:"short"`
		Source       string        `json:"source,omitempty"`
		Wildcard     bool          `json:"wildcard"`
		Subscribed   []string      `json:"subscribed,omitempty"`
		Version      string        `json:"version"`         // acknowledged
		Applied      string        `json:"applied_version"` // in force, with nothing of it waiting
		Nonce        string        `json:"nonce"`
		Attempt      uint64        `json:"update_attempt"`
		Success      uint64        `json:"update_success"`
		Rejected     uint64        `json:"update_rejected"`
		Failure      uint64        `json:"update_failure"`
		FetchTimeout uint64        `json:"init_fetch_timeout"`
		NACK         *xdsNACK      `json:"last_nack,omitempty"`
		Resources    []xdsResource `json:"resources"`
	}
	xdsNACK struct {
		Version  string    `json:"version"`
		Nonce    string    `json:"nonce"`
		At       time.Time `json:"at"`
		Standing bool      `json:"standing"` // nothing was accepted since
		Text     string    `json:"text"`
	}
	xdsResource struct {
		Name     string    `json:"name"`
		State    string    `json:"state"`
		Static   bool      `json:"static,omitempty"`
		Version  string    `json:"version,omitempty"`
		Next     string    `json:"next_version,omitempty"`
		Blocker  string    `json:"waits_for,omitempty"`
		Expires  string    `json:"expires,omitempty"` // when its time to live runs out
		Error    *xdsError `json:"error_state,omitempty"`
		Degraded []string  `json:"degraded_fields,omitempty"`
	}
	xdsError struct {
		Version string    `json:"version"`
		At      time.Time `json:"at"`
		Text    string    `json:"text"`
	}
	xdsWarming struct {
		TypeURL string  `json:"type_url"`
		Kind    string  `json:"kind"`
		Name    string  `json:"name"`
		Blocker string  `json:"waits_for"`
		For     float64 `json:"for_s"`
	}
)

// xds shows where the configuration comes from and how far it has come.
func (s *Server) xds(p *reply, _ *http.Request, q url.Values) {
	if s.o.XDS == nil {
		p.text(http.StatusNotFound, "no xDS client runs in this process\n")
		return
	}
	st := newXDSStatus(s.o.XDS(), time.Now())
	if q.Get("format") == "json" {
		p.value(st)
		return
	}
	var b strings.Builder
	st.write(&b)
	p.text(http.StatusOK, b.String())
}

func newXDSStatus(in xds.Status, now time.Time) *xdsStatus {
	st := &xdsStatus{
		Ready: in.Ready, Snapshot: in.Snapshot, Applied: in.Applied, Error: in.ApplyErr,
		Sources: []xdsSource{}, Types: []xdsType{}, Warming: []xdsWarming{},
	}
	if g := in.LastGood; g != nil {
		st.LastGood = &xdsLastGood{g.Saved.UTC(), since(now, g.Since), g.Types, g.Resources, g.LeftOut}
	}
	for _, c := range in.Sources {
		st.Sources = append(st.Sources, xdsSource{c.Name, c.File, c.Delta, c.Server, c.Connected, since(now, c.Since), c.Err, c.Failures})
	}
	for i := range in.Types {
		t := newXDSType(&in.Types[i])
		for _, r := range t.Resources {
			st.Degraded += len(r.Degraded)
		}
		st.Types = append(st.Types, t)
	}
	for _, w := range in.Warming {
		st.Warming = append(st.Warming, xdsWarming{w.TypeURL, kind(w.TypeURL), w.Name, w.Blocker, since(now, w.Since)})
	}
	return st
}

func newXDSType(in *xds.TypeStatus) xdsType {
	c := in.Counters
	t := xdsType{
		TypeURL: in.TypeURL, Short: in.Short, Source: in.Source, Wildcard: in.Wildcard, Subscribed: in.Names,
		Version: in.Version, Applied: in.Applied, Nonce: in.Nonce, Resources: []xdsResource{},
		Attempt: c.Attempt, Success: c.Success, Rejected: c.Rejected, Failure: c.Failure, FetchTimeout: c.FetchTimeout,
	}
	if n := in.NACK; n != nil {
		t.NACK = &xdsNACK{n.Version, n.Nonce, n.At, n.Standing, n.Text}
	}
	for _, r := range in.Resources {
		o := xdsResource{
			Name: r.Name, State: string(r.State), Static: r.Static, Version: r.Version, Next: r.Next,
			Blocker: r.Blocker, Degraded: r.Degraded,
		}
		if !r.Expires.IsZero() {
			o.Expires = r.Expires.UTC().Format(time.RFC3339)
		}
		if r.Error != nil {
			o.Error = &xdsError{r.Error.Version, r.Error.At, r.Error.Text}
		}
		t.Resources = append(t.Resources, o)
	}
	return t
}

// since is how long ago something was, in seconds to the millisecond; 0 for never.
func since(now, t time.Time) float64 {
	if t.IsZero() || now.Before(t) {
		return 0
	}
	return float64(now.Sub(t).Milliseconds()) / 1000
}

func kind(typeURL string) string {
	if t, ok := config.TypeOf(typeURL); ok {
		return t.Kind
	}
	return typeURL
}
