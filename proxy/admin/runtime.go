package admin

import (
	"net/http"
	"net/url"

	"github.com/weirproxy/weir/config/runtime"
)

// Runtime are the runtime layers; *layers.Loader is one.
type Runtime interface {
	Snapshot() *runtime.Snapshot
	// Modify sets values of the admin layer; an empty value is taken out.
	Modify(map[string]string) error
}

// runtimeDump is /runtime: the values of every layer, by key.
type runtimeDump struct {
	Entries map[string]*runtimeEntry `json:"entries"`
	Layers  []string                 `json:"layers"`
}

type runtimeEntry struct {
	LayerValues []string `json:"layer_values"` // "" where a layer is silent
	FinalValue  string   `json:"final_value"`
}

// runtime shows the runtime layers and what is in force of them.
func (s *Server) runtime(p *reply, _ *http.Request, _ url.Values) {
	d := runtimeDump{Entries: map[string]*runtimeEntry{}, Layers: []string{}}
	if s.o.Runtime != nil {
		snap := s.o.Runtime.Snapshot()
		for i, l := range snap.Layers {
			d.Layers = append(d.Layers, l.Name)
			for key, v := range l.Values {
				e := d.Entries[key]
				if e == nil {
					e = &runtimeEntry{LayerValues: make([]string, len(snap.Layers)), FinalValue: snap.Final[key].Text}
					d.Entries[key] = e
				}
				e.LayerValues[i] = v.Text
			}
		}
	}
	p.value(d)
}

// modifyUsage is Envoy's.
const modifyUsage = "usage: /runtime_modify?key1=value1&key2=value2&keyN=valueN\n" +
	"       or send the parameters as form values\n" +
	"use an empty value to remove a previously added override"

// maxForm bounds a form, in bytes.
const maxForm = 1 << 20

// runtimeModify changes the admin layer, by the query or by a form.
func (s *Server) runtimeModify(p *reply, r *http.Request, q url.Values) {
	r.Body = http.MaxBytesReader(p.w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		p.text(http.StatusBadRequest, err.Error()+"\n")
		return
	}
	values := map[string]string{}
	for _, from := range []url.Values{q, r.PostForm} {
		for k, v := range from {
			if k == "" || len(v) == 0 {
				continue
			}
			values[k] = v[len(v)-1]
		}
	}
	switch {
	case s.o.Runtime == nil:
		p.text(http.StatusServiceUnavailable, "No admin layer specified")
	case len(values) == 0:
		p.text(http.StatusBadRequest, modifyUsage)
	default:
		if err := s.o.Runtime.Modify(values); err != nil {
			p.text(http.StatusServiceUnavailable, err.Error())
			return
		}
		p.text(http.StatusOK, "OK\n")
	}
}
