package xds

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
)

// SessionOptions say what a Session talks to and how long it waits. Zero durations are defaults, negative ones are "never".
type SessionOptions struct {
	Node    *corev3.Node       // sent with the first request of a stream
	Sources []Source           // where the types come from; an event names a source by its index here
	Static  []*config.Resource // from the bootstrap; a dynamic resource with the name of a static one is refused
	Roots   []extension.Ref    // what the bootstrap itself refers to: runtime layers, without which no listener serves at first

	WarmingDeadline time.Duration // how long a resource waits for what it refers to, default 15 s
	RetryBase       time.Duration // first reconnect interval, default 500 ms (Envoy: grpc retry_back_off)
	RetryMax        time.Duration // longest reconnect interval, default 30 s
	NACKPause       time.Duration // wait before refusing the same version again, default 1 s
	RestoreAfter    time.Duration // how long control planes are waited for before Restore, 0 is never
}

// A Source is one stream or file that serves some types.
type Source struct {
	Name  string // for people: "ads", a file's path
	File  bool   // read, not talked to: no request, ACK or NACK is sent
	Delta bool   // speaks the incremental protocol; else every response is the state of the world
	Types []SourceType
	// NodeAlways sends the node with every request (set_node_on_first_message_only: false).
	NodeAlways bool
	// RetryBase and RetryMax bound the interval between tries; 0 is the session's.
	RetryBase, RetryMax time.Duration
}

// A SourceType is one type that a source serves.
type SourceType struct {
	TypeURL string
	// FetchTimeout is initial_fetch_timeout: how long the first answer is waited for. Default 15 s; negative is for ever, which
	// the warming deadline still bounds.
	FetchTimeout time.Duration
	// OnDemand asks for nothing but what is Subscribed, of a type that is otherwise wanted whole.
	OnDemand bool
}

// A Session is the discovery protocol and the warming of what it brings, as a pure state machine. It is not safe for concurrent
// use.
type Session struct {
	o       SessionOptions        // set in NewSession, never changed
	sources []*sourceState        // by index; nil when it was closed
	types   []*typeState          // by kind, then those of sources that references name
	extra   map[origin]*typeState // the latter
	seq     uint64                // of the last DecodeItems
	gone    [kinds]Counters       // of types whose source was closed
	moved   bool                  // references may name other sources than before

	ready     bool           // see Status
	lastGood  LastGoodStatus // of Restored; zero before
	restoring restoring
	snapshot  *config.Snapshot // the last one published
	applied   Applied          // the last answer
	warmAt    time.Time        // when the warming timer fires; zero when it is off

	mortal map[*slot]*typeState // what has a time to live
	dieAt  time.Time            // when its timer fires; zero when it is off

	now time.Time // of the event being handled
	out []Action  // of the step being made
}

// NewSession makes a session. Nothing happens before the first Step.
func NewSession(o SessionOptions) *Session {
	o.WarmingDeadline = defaulted(o.WarmingDeadline, 15*time.Second)
	o.RetryBase = max(defaulted(o.RetryBase, 500*time.Millisecond), time.Millisecond)
	o.RetryMax = max(defaulted(o.RetryMax, 30*time.Second), o.RetryBase)
	o.NACKPause = defaulted(o.NACKPause, time.Second)
	s := &Session{o: o, extra: map[origin]*typeState{}, snapshot: &config.Snapshot{}, mortal: map[*slot]*typeState{}}
	for k := range kinds {
		s.types = append(s.types, newTypeState(k))
	}
	for i, src := range o.Sources {
		s.sources = append(s.sources, &sourceState{Source: src})
		for _, st := range src.Types {
			if k, ok := kindOf(st.TypeURL); ok && s.types[k].source < 0 {
				s.types[k].source, s.types[k].fetch = i, defaulted(st.FetchTimeout, defaultFetch)
				s.types[k].wild = s.types[k].wild && !st.OnDemand
			}
		}
	}
	return s
}

func newTypeState(k kind) *typeState {
	return &typeState{row: rows[k], k: k, source: -1, slots: map[string]*slot{}, all: true, wild: rows[k].full && len(rows[k].owner) == 0, pins: map[string]*pin{}, aliases: map[string]string{}}
}

// defaulted gives d, def when it is zero, and zero when it is negative.
func defaulted(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return max(d, 0)
}

// Step takes one event and says what to do about it, in order.
func (s *Session) Step(ev Event) []Action {
	s.now, s.out = ev.At, nil
	switch w := ev.What.(type) {
	case Started:
		s.start()
	case Connected:
		s.connected(w.Source)
	case StreamLost:
		s.lost(w)
	case Received:
		s.received(w)
	case ReceivedDelta:
		s.receivedDelta(w)
	case FileFailed:
		s.fileFailed(w)
	case Decoded:
		s.decoded(w)
	case TimerFired:
		s.timer(w.ID)
	case Applied:
		s.appliedSnapshot(w)
	case Restored:
		s.restored(w)
	case Subscribed:
		s.pin(w.Ref)
	case Unsubscribed:
		s.unpin(w.Ref)
	}
	s.ready = s.ready || (s.types[cds].answered && s.types[lds].answered && s.restoring != asked)
	return s.out
}

// start takes in the static resources, publishes what they give and connects the sources.
func (s *Session) start() {
	for _, r := range s.o.Static {
		if k, ok := kindOf(r.Raw.GetTypeUrl()); ok {
			s.types[k].slots[r.Name] = &slot{name: r.Name, want: r, since: s.now}
			s.types[k].all = true
			s.touched(k)
		} else {
			s.log(Error, "static resource %q of type %q is not supported", r.Name, r.Raw.GetTypeUrl())
		}
	}
	s.moved, s.types[rtds].stale = true, true
	for _, t := range s.types {
		if t.source < 0 || t.full && !t.wild {
			t.answered = true
		} else if t.wild && t.fetch > 0 {
			s.do(StartTimer{fetchTimer(t), t.fetch})
		}
	}
	if s.o.RestoreAfter > 0 {
		s.do(StartTimer{restoreTimer, s.o.RestoreAfter})
	}
	s.settle()
	if s.snapshot.Version == 0 { // nothing static: the world begins empty
		s.publish(&config.Snapshot{})
	}
	for i, c := range s.sources {
		if c.since = s.now; !c.opened { // what the static resources refer to is connected already
			s.do(Connect{i})
		}
	}
}

// settle brings everything else in line with what just changed: the snapshot, then the answers owed and the subscriptions.
func (s *Session) settle() {
	n := len(s.out)
	for again := true; again; again = s.rescope() { // who refers to scopes may be others now
		s.rescope()
		if next := s.assemble(); next != nil {
			s.publish(next)
			s.connectLast(n)
		}
	}
	for _, t := range s.types {
		s.request(t)
	}
	s.tell()
	s.progress()
}

// progress notes which accepted versions are in the snapshot whole.
func (s *Session) progress() {
	for _, t := range s.types {
		if t.version == t.whole || t.waits() {
			continue
		}
		t.whole, t.since = t.version, s.snapshot.Version
		t.caughtUp(s.applied)
	}
}

// waits says that something accepted is not in the snapshot yet.
func (t *typeState) waits() bool {
	for _, o := range t.slots {
		if o.want != o.live {
			return true
		}
	}
	return false
}

// caughtUp takes in which snapshot was applied.
func (t *typeState) caughtUp(a Applied) {
	if a.Err == nil && a.Version >= t.since {
		t.applied = t.whole
	}
}

// connectLast moves what opens sources to the end of the actions from n on: they are reached through clusters that the snapshot
// before may bring.
func (s *Session) connectLast(n int) {
	opens := func(a Action) bool {
		switch a.(type) {
		case Open, Connect:
			return true
		}
		return false
	}
	var last []Action
	for _, a := range s.out[n:] {
		if opens(a) {
			last = append(last, a)
		}
	}
	if len(last) > 0 {
		s.out = append(s.out[:n], slices.DeleteFunc(s.out[n:], opens)...)
		s.out = append(s.out, last...)
	}
}

// publish hands out a snapshot.
func (s *Session) publish(next *config.Snapshot) {
	next.Version = s.snapshot.Version + 1
	s.snapshot = next
	s.do(Publish{next})
}

func (s *Session) appliedSnapshot(a Applied) {
	if a.Err != nil {
		s.log(Error, "snapshot %d: apply: %v", a.Version, a.Err)
	}
	s.applied = a
	for _, t := range s.types {
		t.caughtUp(a)
	}
}

// timer dispatches by the names that start the timers.
func (s *Session) timer(id string) {
	switch id {
	case warmingTimer:
		s.expire()
		return
	case ttlTimer:
		s.die()
		return
	case restoreTimer:
		s.restore()
		return
	}
	for i, c := range s.sources {
		if c != nil && id == c.timer() {
			s.do(Connect{i})
		}
	}
	for _, t := range s.types {
		switch id {
		case fetchTimer(t):
			if !t.answered {
				if after := s.o.RestoreAfter; after > 0 && after <= t.fetch { // its timer is about to fire
					s.restore()
				}
				t.answered = true
				t.counters.FetchTimeout++
				s.log(Warn, "%s did not answer in %v", s.typeWord(t), t.fetch)
				s.settle()
			}
		case nackTimer(t):
			if t.held {
				t.held = false
				s.request(t)
			}
		}
	}
}

// interest gives the names that a type is subscribed to, sorted: what the owners of its resources refer to, in the version that
// serves and in the one that is to serve, and what was asked for. The slice is never changed.
func (s *Session) interest(t *typeState) []string {
	if !t.stale {
		t.admit()
		return t.asks
	}
	set := s.addRoots(t, t.pinned())
	t.routes = nil
	for _, owner := range s.owners(t) {
		for _, o := range owner.slots {
			for _, r := range [...]*config.Resource{o.want, o.live} {
				if r == nil {
					continue
				}
				for _, ref := range r.Refs {
					if ref.TypeURL == t.url && ref.Source.Stream() == t.from {
						set[ref.Name] = struct{}{}
						if t.k == srds && ref.Name == "*" && !slices.Contains(t.routes, ref.Routes) {
							t.routes = append(t.routes, ref.Routes)
						}
					}
				}
			}
		}
	}
	if _, star := set["*"]; star && t.full { // from then on: a wildcard cannot be taken back in state of the world
		t.wild = true
		delete(set, "*")
	}
	maps.DeleteFunc(set, func(name string, _ struct{}) bool { // a static one is here and stays
		o := t.slots[name]
		return o != nil && o.want != nil && o.want.Static
	})
	slices.SortFunc(t.routes, func(a, b extension.Source) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	t.asks, t.stale, t.all, t.fresh = slices.Sorted(maps.Keys(set)), false, true, nil
	return t.asks
}

// touched says that resources of a type changed: what they refer to has to be gathered again.
func (s *Session) touched(owner kind) {
	for _, t := range s.types {
		if slices.Contains(t.owner, owner) {
			t.restart()
		}
	}
	s.moved = true
}

const warmingTimer = "warming"

func fetchTimer(t *typeState) string { return timerOf("fetch", t) }

func nackTimer(t *typeState) string { return timerOf("nack", t) }

func timerOf(word string, t *typeState) string {
	if t.from == (extension.Source{}) {
		return word + " " + t.short
	}
	return fmt.Sprintf("%s %s %d", word, t.short, t.source)
}

// typeWord names a type and where it comes from: `CDS from ads`.
func (s *Session) typeWord(t *typeState) string {
	return upper(t.short) + " from " + s.sources[t.source].Name
}

func upper(short string) string {
	b := []byte(short)
	for i := range b {
		b[i] -= 'a' - 'A'
	}
	return string(b)
}

func (s *Session) do(a Action) { s.out = append(s.out, a) }

func (s *Session) log(l Level, format string, args ...any) {
	s.do(Log{l, fmt.Sprintf(format, args...)})
}
