package xds

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/weirproxy/weir/config"
	"github.com/weirproxy/weir/config/extension"
	"github.com/weirproxy/weir/xds/lastgood"
)

// A start for which no control plane answers in time goes on from the last known good configuration: what the file has of the types
// that nobody answered for is taken as if it had come from there. It changes nothing about the protocol: requests carry no version
// of it, and the first answer replaces it like any other. What that answer repeats byte by byte stays, pointer for pointer.

// Restore asks for the last known good configuration. The answer is Restored.
type Restore struct{}

func (Restore) action() {}

// Restored is what the last known good configuration held, decoded.
type Restored struct {
	Saved     time.Time
	Resources []Kept
	Refused   []error  // what does not decode any more
	LeftOut   []string // what was not written because it is secret
	Err       error    // there is none, or it cannot be used
}

func (Restored) happening() {}

// Kept is a resource of the last known good configuration.
type Kept struct {
	*config.Resource        // its Raw says its type
	Key              string // by which snapshots have it
}

// LastGoodStatus says what serves from the last known good configuration.
type LastGoodStatus struct {
	Saved     time.Time // when it was written
	Since     time.Time // when it was taken
	Types     []string  // short names of the types that nobody has answered for yet
	Resources int       // that serve and that no answer has repeated or replaced
	LeftOut   []string  // what was not written because it is secret
}

const restoreTimer = "last known good"

// restoring is where a session is with the file.
type restoring uint8

const (
	idle  restoring = iota // not asked for
	asked                  // Restore was sent: the session is not ready, whoever else is no longer waited for
	over
)

// silent tells that a type has a control plane to come from, which has not answered for any type yet.
func (s *Session) silent(t *typeState) bool {
	if t.source < 0 || s.sources[t.source].File {
		return false
	}
	for _, o := range s.served(t.source) {
		if o.heard || len(o.queue) > 0 {
			return false
		}
	}
	return true
}

// restore asks for the file when someone is still silent, once.
func (s *Session) restore() {
	if s.restoring != idle {
		return
	}
	for _, t := range s.types[:kinds] {
		if t.wild && s.silent(t) {
			s.restoring = asked
			s.do(Restore{})
			return
		}
	}
}

// restored takes what the file held of the types that nobody answered for.
func (s *Session) restored(w Restored) {
	s.restoring = over
	if w.Err != nil {
		s.log(Error, "no control plane answered in %v, and there is no last known good configuration: %v", s.o.RestoreAfter, w.Err)
		return
	}
	n := 0
	for todo := w.Resources; len(todo) > 0; {
		var left []Kept // their source is not named yet
		for _, r := range todo {
			switch t := s.keeps(r); {
			case t == nil:
				left = append(left, r)
			case s.silent(t):
				n += s.keep(t, r.Resource)
			}
		}
		if len(left) == len(todo) {
			break
		}
		s.moveSources()
		todo = left
	}
	for _, t := range s.types {
		if !s.silent(t) {
			continue
		}
		t.restored = true
		if !t.answered {
			t.answered = true
			if t.wild && t.fetch > 0 {
				s.do(StopTimer{fetchTimer(t)})
			}
		}
	}
	s.lastGood = LastGoodStatus{Saved: w.Saved, Since: s.now, LeftOut: w.LeftOut}
	s.log(Warn, "no control plane answered in %v: serving the last known good configuration of %s, %d resources", s.o.RestoreAfter,
		w.Saved.UTC().Format(time.RFC3339), n)
	if len(w.LeftOut) > 0 {
		s.log(Warn, "last known good: without what is secret: %s", strings.Join(w.LeftOut, ", "))
	}
	for _, err := range w.Refused {
		s.log(Error, "last known good: %v", err)
	}
	s.settle()
}

// keeps gives the type, with its source, that had a resource; nil while nothing names the source.
func (s *Session) keeps(r Kept) *typeState {
	k, ok := kindOf(r.Raw.GetTypeUrl())
	if !ok {
		return nil
	}
	for _, t := range s.ofKind(k) {
		if (extension.Ref{TypeURL: t.url, Name: r.Name, Source: t.from}).Key() == r.Key {
			return t
		}
	}
	return nil
}

// keep takes a resource of the file, unless there is one of its name: a static one.
func (s *Session) keep(t *typeState, r *config.Resource) int {
	if o := t.slots[r.Name]; o != nil && o.want != nil {
		return 0
	}
	s.take(t, &item{res: r})
	t.slots[r.Name].restored = true
	return 1
}

// vain tells that a reference is to something that a silent control plane would have to bring: what is restored does not wait for
// it. It goes in as after its deadline.
func (s *Session) vain(ref extension.Ref) bool {
	t := s.typeFor(ref)
	return t != nil && s.silent(t)
}

// confirm puts the version of the answer to a resource from the file that it repeats.
func (s *Session) confirm(t *typeState, r *response, it *item) {
	o := t.slots[it.res.Name]
	if o == nil || !o.restored || it.res != o.want {
		return
	}
	c := *it.res
	if c.Version = r.version; r.delta {
		c.Version = it.version
	}
	it.res = &c
}

// replaced notes that a type was answered for. What a server of the incremental protocol does not name in its first answer it never
// knew: it will not be named as removed either.
func (s *Session) replaced(t *typeState, r *response) {
	if !t.restored {
		return
	}
	t.restored = false
	if !t.wild {
		return
	}
	if r.delta {
		for name, o := range t.slots {
			if _, named := r.seen[name]; o.restored && !named {
				s.remove(t, name)
			}
		}
	}
	s.log(Info, "%s answered: it replaces the last known good configuration of %s", s.typeWord(t), s.lastGood.Saved.UTC().Format(time.RFC3339))
}

// lastGoodStatus tells what is left of the last known good configuration, nil when nothing is.
func (s *Session) lastGoodStatus() *LastGoodStatus {
	if s.lastGood.Saved.IsZero() {
		return nil
	}
	st := s.lastGood
	for _, t := range s.types {
		if t.restored && t.wild {
			st.Types = append(st.Types, t.short)
		}
		st.Resources += t.countRestored()
	}
	if len(st.Types) == 0 && st.Resources == 0 {
		return nil
	}
	return &st
}

// countRestored counts what of a type serves from the file.
func (t *typeState) countRestored() (n int) {
	for _, o := range t.slots {
		if o.live != nil && strings.HasPrefix(o.live.Version, lastgood.VersionPrefix) {
			n++
		}
	}
	return n
}

// answeredAll tells whether everything that serves of the wildcard types is a control plane's word.
func (s *Session) answeredAll() bool {
	for _, t := range s.types[:kinds] {
		if t.wild && t.source >= 0 && (!t.heard || t.restored) {
			return false
		}
	}
	return true
}

// restore reads and decodes the last known good configuration.
func (d Decode) restore(read func() (*lastgood.State, error)) Restored {
	st, err := read()
	if err != nil {
		return Restored{Err: err}
	}
	out := Restored{Saved: st.Saved, LeftOut: st.LeftOut}
	for _, t := range st.Types {
		for _, a := range t.Resources {
			r, err := d.one(t.TypeURL, a.Any)
			if err == nil && t.TypeURL == VirtualHostType {
				r.Name = a.Name // it has another one inside
			}
			if err == nil && r.Name != a.Name {
				err = fmt.Errorf("decoded under the name %q", r.Name)
			}
			if err != nil {
				out.Refused = append(out.Refused, fmt.Errorf("%s %q: %w", t.TypeURL, a.Name, err))
				continue
			}
			r.Version, r.Static = lastgood.VersionPrefix+a.Version, false
			if r.Raw == nil {
				r.Raw = a.Any
			}
			out.Resources = append(out.Resources, Kept{r, cmp.Or(a.Key, a.Name)})
		}
	}
	return out
}
