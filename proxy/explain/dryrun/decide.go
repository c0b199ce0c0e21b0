package dryrun

import (
	"fmt"
	"strings"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/route"
	"github.com/weirproxy/weir/proxy/explain"
	"github.com/weirproxy/weir/proxy/flows"
)

// A Way is where a request goes, or a connection that is passed on as it is.
type Way struct {
	Chain   string `json:"filter_chain,omitempty"`
	Route   string `json:"route,omitempty"`   // its name, or virtual host and place
	Cluster string `json:"cluster,omitempty"` // "" when the route answers itself
	Answer  string `json:"answer,omitempty"`  // what is done without one cluster
	Lost    string `json:"lost,omitempty"`    // why it goes nowhere
}

// same tells whether two ways end at the same place: another name of a route is none.
func (w Way) same(o Way) bool {
	return w.Cluster == o.Cluster && w.Answer == o.Answer && (w.Lost == "") == (o.Lost == "")
}

// A Decider takes requests through a configuration. It is not safe for concurrent use.
type Decider struct {
	world  explain.World
	hosts  config.Discovered
	tables map[string]*route.Table // with what they discover, by key
}

// NewDecider makes one for a snapshot.
func NewDecider(s *config.Snapshot) *Decider {
	d := &Decider{hosts: s.Discovered(), tables: map[string]*route.Table{}}
	d.world = explain.World{Snapshot: s, Table: func(key string) *route.Table {
		t, ok := d.tables[key]
		if !ok {
			t = s.Table(key, d.hosts)
			d.tables[key] = t
		}
		return t
	}}
	return d
}

// Decide takes a request through the configuration: filter chain, scope, route, cluster. A request without a method is a connection.
func (d *Decider) Decide(q *flows.Request) Way {
	a := d.world.Ask(explain.QuestionOf(q))
	w := Way{Chain: a.Chain, Route: a.Route}
	if a.VirtualHost != "" && strings.HasPrefix(a.Route, "routes[") {
		w.Route = a.VirtualHost + "." + a.Route
	}
	if a.Cluster != nil {
		w.Cluster = a.Cluster.Name
	}
	switch {
	case !a.Reached:
		w.Lost = strings.TrimPrefix(a.Outcome, "fails: ")
		if w.Route != "" {
			w.Lost = fmt.Sprintf("route %s: %s", w.Route, w.Lost)
		}
	case w.Cluster == "":
		w.Answer, _, _ = strings.Cut(a.Outcome, ";")
	}
	return w
}
