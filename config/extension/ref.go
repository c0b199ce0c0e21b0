package extension

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"
)

// A Ref is a resource that must be there before its owner can serve.
type Ref struct {
	TypeURL, Name string
	Source        Source
	Types         string // of an extension: the type URLs its configuration may have, by JoinTypes; "" is any
	Late          bool   // it is not waited for: its owner can serve without it
	// Routes says where the routes of all scopes come from, when it is these that are referred to (rds_config_source).
	Routes Source
}

// JoinTypes writes type URLs as Ref.Types has them.
func JoinTypes(urls []string) string { return strings.Join(urls, " ") }

// Takes tells whether the configuration of an extension may have a type.
func (r Ref) Takes(typeURL string) bool {
	return r.Types == "" || slices.Contains(strings.Fields(r.Types), typeURL)
}

// A Source says where one resource comes from when its reference says so itself (Envoy: ConfigSource).
// The zero Source is where all resources of the type come from: the aggregated stream. Equal Sources are one source. At most one of
// Static, Path and Cluster is set.
type Source struct {
	// Static is the bootstrap: the resource is there from the beginning or never.
	Static bool
	// Path is a file (path_config_source), and Watch the directory whose changes count besides its own (watched_directory).
	Path, Watch string
	// Cluster is a control plane of its own (api_config_source): the static cluster by which it is reached first, or its target. API is
	// the whole message, for core.SourceAPI.
	Cluster, API string
	// Delta speaks the incremental protocol.
	Delta bool
	// NodeAlways sends the node with every request (set_node_on_first_message_only: false).
	NodeAlways bool
	// FetchTimeout is initial_fetch_timeout: how long this reference is waited for; 0 is the default, negative is for ever.
	FetchTimeout time.Duration
}

// Stream is the source without how long a reference waits for it: references that share it share one stream.
func (s Source) Stream() Source {
	s.FetchTimeout = 0
	return s
}

// String names the source for people.
func (s Source) String() string {
	switch {
	case s.Static:
		return "bootstrap"
	case s.Path != "":
		return s.Path
	case s.Cluster != "":
		return "cluster " + s.Cluster
	}
	return "ads"
}

// Key is the name by which the data plane knows the resource: its own name, with its source when that is one of its own. A hash tells
// apart what comes by one cluster in several ways.
func (r Ref) Key() string {
	if r.Source.Path == "" && r.Source.Cluster == "" {
		return r.Name
	}
	key := r.Name + " from " + r.Source.String()
	if r.Source.API != "" {
		h := fnv.New32a()
		_, _ = h.Write([]byte(r.Source.API))
		key += fmt.Sprintf(" #%08x", h.Sum32())
	}
	return key
}
