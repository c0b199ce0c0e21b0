package xds

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// Counters are a type's statistics, as Envoy counts them for a subscription (config.grpc_mux, cluster_manager.cds, …).
type Counters struct {
	Attempt      uint64 // update_attempt: first requests, responses and file reads
	Success      uint64 // update_success: responses accepted whole
	Rejected     uint64 // update_rejected: responses NACKed
	Failure      uint64 // update_failure: streams lost, files not readable
	FetchTimeout uint64 // init_fetch_timeout
}

func (c *Counters) add(d Counters) {
	c.Attempt += d.Attempt
	c.Success += d.Success
	c.Rejected += d.Rejected
	c.Failure += d.Failure
	c.FetchTimeout += d.FetchTimeout
}

// SecretStatus is what is counted of one secret, or of one configuration of a filter.
type SecretStatus struct {
	Name  string
	Key   string // by which a snapshot has it
	Types string // of a filter's: type URLs that it may have (extension.JoinTypes)

	Version string // accepted last; "" for none
	Counters
}

// Secrets gives what is counted of every secret that is asked for, by key.
func (s *Session) Secrets() []SecretStatus { return s.counted(sds) }

// Extensions gives every configuration of a filter that is asked for, by key: see SecretStatus.
func (s *Session) Extensions() []SecretStatus { return s.counted(ecds) }

func (s *Session) counted(k kind) (out []SecretStatus) {
	for _, t := range s.ofKind(k) {
		for name, o := range t.slots {
			if o.want == nil || !o.want.Static {
				ref := extension.Ref{TypeURL: t.url, Name: name, Source: t.from}
				st := SecretStatus{Name: name, Key: ref.Key(), Types: s.typesOf(ref), Counters: o.counted}
				if o.want != nil {
					st.Version = o.want.Version
				}
				out = append(out, st)
			}
		}
	}
	slices.SortFunc(out, func(a, b SecretStatus) int { return cmp.Compare(a.Key, b.Key) })
	return out
}

// typesOf gives the type URLs that a reference to an extension allows; "" when nothing refers to it.
func (s *Session) typesOf(want extension.Ref) string {
	for _, owner := range s.owners(s.typeFor(want)) {
		for _, o := range owner.slots {
			for _, r := range [...]*config.Resource{o.want, o.live} {
				if r == nil {
					continue
				}
				for _, ref := range r.Refs {
					if ref.TypeURL == want.TypeURL && ref.Name == want.Name && ref.Source.Stream() == want.Source && ref.Types != "" {
						return ref.Types
					}
				}
			}
		}
	}
	return ""
}

func (o *slot) count(c Counters) { o.counted.add(c) }

// fail counts what a type does not get, because its stream was lost or its file cannot be read.
func (t *typeState) fail() {
	t.counters.Failure++
	for _, o := range t.slots {
		o.count(Counters{Failure: 1})
	}
}

// A NACK is a refused response.
type NACK struct {
	Version  string // that was refused
	Nonce    string
	At       time.Time
	Text     string // every error, one a line
	Standing bool   // no later response was accepted
}

// A ResourceError is why the version of a resource that was offered last is not used (Envoy: UpdateFailureState).
type ResourceError struct {
	Version string // of the response that carried it
	At      time.Time
	Text    string

	err   error
	nonce string // of that response
	raw   []byte // what was refused, so that the same bytes are not decoded again
}

// State is where a resource is on its way (Envoy: ClientResourceStatus).
type State string

// The states of a resource.
const (
	Requested    State = "REQUESTED"      // asked for, nothing came
	DoesNotExist State = "DOES_NOT_EXIST" // asked for, and the server says there is none, or nothing came and it is no longer waited for
	Warming      State = "WARMING"        // accepted, waits for what it needs
	Acked        State = "ACKED"          // serves
	Nacked       State = "NACKED"         // the last version offered was refused; an older one may serve
	Removing     State = "REMOVING"       // serves until nothing uses it
)

// Status is everything a Session knows, for /config_dump and the xDS page. It shares nothing that changes.
type Status struct {
	Ready    bool            // clusters and listeners had a first answer, or it is no longer waited for; never goes back
	Snapshot uint64          // version of the last snapshot published
	Applied  uint64          // version of the last snapshot that Apply answered for
	ApplyErr string          // what it answered
	LastGood *LastGoodStatus // nil when nothing serves from it
	Sources  []SourceStatus
	Types    []TypeStatus
	Warming  []WarmingStatus // what waits, longest first
}

// SourceStatus is one stream or file.
type SourceStatus struct {
	Name      string
	File      bool
	Delta     bool      // speaks the incremental protocol
	Server    string    // what its server calls itself (ControlPlane.identifier)
	Connected bool      // for a file: it was read
	Since     time.Time // of this state
	Err       string    // why it is not connected
	Failures  int       // tries since the last response
}

// TypeStatus is one resource type.
type TypeStatus struct {
	TypeURL   string
	Short     string           // sds, cds, eds, lds, rds
	Source    string           // "" when nothing serves it
	From      extension.Source // that references name, when this is the type as it comes from there
	Wildcard  bool
	Names     []string // asked for by name
	Version   string   // last accepted and acknowledged
	Applied   string   // last accepted of which nothing waited any more when the data plane took it in
	Nonce     string   // of the last response on this stream
	NACK      *NACK    // the last one
	Counters  Counters
	Resources []ResourceStatus
}

// ResourceStatus is one resource.
type ResourceStatus struct {
	Name     string
	State    State
	Static   bool
	Version  string         // that serves; "" when none does
	Updated  time.Time      // when that came to serve; zero when none ever did
	Next     string         // that waits to serve
	Blocker  string         // what it waits for
	Error    *ResourceError // why the last version offered was refused
	Expires  time.Time      // when its time to live runs out; zero is never
	Degraded []string       // fields that were accepted and have no effect
}

// WarmingStatus is one resource that waits: a version to go in, or its removal.
type WarmingStatus struct {
	TypeURL string
	Name    string
	Blocker string
	Since   time.Time
	Until   time.Time // when it stops to wait; zero is never
}

// Status tells the state of the session.
func (s *Session) Status() Status {
	st := Status{Snapshot: s.snapshot.Version, Applied: s.applied.Version, Ready: s.ready}
	st.LastGood = s.lastGoodStatus()
	if s.applied.Err != nil {
		st.ApplyErr = s.applied.Err.Error()
	}
	for _, c := range s.sources {
		if c == nil {
			continue
		}
		st.Sources = append(st.Sources, SourceStatus{c.Name, c.File, c.Delta, c.server, c.connected, c.since, c.err, c.failures})
	}
	for _, t := range s.types {
		ts := TypeStatus{
			TypeURL: t.url, Short: t.short, From: t.from, Wildcard: t.wild, Names: slices.Clone(t.names),
			Version: t.version, Applied: t.applied, Nonce: t.nonce, Counters: t.counters,
		}
		if t.source >= 0 {
			ts.Source = s.sources[t.source].Name
		}
		if t.nack != nil {
			n := *t.nack
			ts.NACK = &n
		}
		for _, name := range slices.Sorted(maps.Keys(t.slots)) {
			o := t.slots[name]
			ts.Resources = append(ts.Resources, s.resource(t, o))
			if o.waits != "" {
				st.Warming = append(st.Warming, WarmingStatus{t.url, name, o.waits, o.since, s.deadline(t, o)})
			}
		}
		st.Types = append(st.Types, ts)
	}
	slices.SortStableFunc(st.Warming, func(a, b WarmingStatus) int { return cmp.Compare(a.Since.UnixNano(), b.Since.UnixNano()) })
	return st
}

func (s *Session) resource(t *typeState, o *slot) ResourceStatus {
	r := ResourceStatus{Name: o.name, Blocker: o.waits, Expires: o.dies, Updated: o.updated}
	if o.live != nil {
		r.Version, r.Static, r.Degraded = o.live.Version, o.live.Static, o.live.Degraded
	}
	if o.want != nil {
		r.Static, r.Degraded = o.want.Static, o.want.Degraded
		if o.want != o.live {
			r.Next = o.want.Version
		}
	}
	if o.bad != nil {
		r.Error = &ResourceError{Version: o.bad.Version, At: o.bad.At, Text: o.bad.Text}
	}
	switch {
	case o.bad != nil:
		r.State = Nacked
	case o.want == nil && o.live != nil:
		r.State = Removing
	case o.gone:
		r.State = DoesNotExist
	case o.want == nil:
		r.State = Requested
		if d := t.fetch; d > 0 && s.now.Sub(o.since) >= d {
			r.State = DoesNotExist
		}
	case o.want != o.live:
		r.State = Warming
	default:
		r.State = Acked
	}
	return r
}
